from hypothesis import given
from hypothesis import strategies as st

from probes.contract import ProbeKind, Target
from probes.policy import parse_address
from probes.target_block import TargetBlock, is_dotted_quad

HOSTS = [
    "127.0.0.1",
    "desa.id",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "127.1",
    "0x7f.0.0.1",
    "127.0.0.01",
    "",
    "1.2.3.4.5",
]


def test_what_is_no_address_or_no_icmp_is_left_to_others() -> None:
    targets = [Target(key, 1, ProbeKind.ICMP, host) for key, host in enumerate(HOSTS)]
    targets.append(Target(9, 1, ProbeKind.TCP, "127.0.0.1", port=80))
    block = TargetBlock.of(targets)
    assert block.has_address.tolist() == [key in {0, 2} for key in range(10)]
    assert [target.key for target in block.others] == [1, 3, 4, 5, 6, 7, 8, 9]
    assert block.direct().key.tolist() == [0, 2]


@given(st.ip_addresses(v=4).map(str) | st.from_regex(r"[0-9x]{1,4}(\.[0-9x]{0,4}){0,4}", fullmatch=True) | st.text())
def test_a_dotted_quad_is_what_the_policy_reads_as_one(text: str) -> None:
    if ":" not in text:
        assert is_dotted_quad(text) == (parse_address(text) is not None)
