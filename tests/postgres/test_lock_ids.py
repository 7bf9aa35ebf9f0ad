from app.judging.shards import MOST_SHARDS
from app.postgres import lock_ids
from app.postgres.leadership import Leadership, ShardLeadership


def test_no_two_locks_are_the_same() -> None:
    named = [value for name, value in vars(lock_ids).items() if name.isupper() and not name.startswith("_")]
    ids = [*named, *(ShardLeadership(shard).lock_id for shard in range(1, MOST_SHARDS))]
    assert len(named) > 5
    assert len(set(ids)) == len(ids)
    assert {leadership.lock_id for leadership in Leadership} < set(ids)
