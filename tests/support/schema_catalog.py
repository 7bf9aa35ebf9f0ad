"""A database's tables as the catalog has them, and what of a newer schema the version before cannot live with. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, text

TABLES = "c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
COLUMNS = f"""
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        a.atthasdef OR a.attidentity <> ''
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE {TABLES} AND a.attnum > 0 AND NOT a.attisdropped
"""
CONSTRAINTS = f"""
    SELECT c.relname, k.conname, k.contype::text, pg_get_constraintdef(k.oid),
        ARRAY(SELECT attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY(k.conkey))
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE {TABLES} AND k.contype <> 'n'
"""
UNIQUE_INDEXES = f"""
    SELECT c.relname, i.indexrelid::regclass::text, 'u', pg_get_indexdef(i.indexrelid),
        ARRAY(SELECT attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY(i.indkey))
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE {TABLES} AND i.indisunique AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""
TRIGGERS = f"""
    SELECT c.relname, t.tgname, 't', pg_get_triggerdef(t.oid), '{{}}'::name[]
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE {TABLES} AND NOT t.tgisinternal
"""


class Column(NamedTuple):
    kind: str
    is_required: bool
    has_default: bool


class Rule(NamedTuple):
    """A constraint, a unique index or a trigger. `kind`: c check, f foreign key, p, u, x unique in some way, t."""

    kind: str
    definition: str
    columns: frozenset[str]


@dataclass(frozen=True)
class Catalog:
    columns: dict[tuple[str, str], Column]
    rules: dict[tuple[str, str], Rule]

    @property
    def tables(self) -> set[str]:
        return {table for table, _ in self.columns}


def read_catalog(connection: Connection) -> Catalog:
    columns = {(table, name): Column(*rest) for table, name, *rest in connection.execute(text(COLUMNS))}
    rules = {
        (table, name): Rule(kind, definition, frozenset(of))
        for query in (CONSTRAINTS, UNIQUE_INDEXES, TRIGGERS)
        for table, name, kind, definition, of in connection.execute(text(query))
    }
    return Catalog(columns, rules)


def incompatible(before: Catalog, after: Catalog) -> Iterator[str]:
    """Yield what a process of the version before would fail at: what it reads is gone, or what it writes is refused."""
    yield from (f"table {table}: is gone" for table in sorted(before.tables - after.tables))
    kept = before.tables & after.tables
    for (table, name), was in before.columns.items():
        if table in kept:
            yield from _column_changes(f"column {table}.{name}", was, after.columns.get((table, name)))
    for (table, name), column in after.columns.items():
        is_new = table in kept and (table, name) not in before.columns
        if is_new and column.is_required and not column.has_default:
            yield f"column {table}.{name}: is required, without a default"
    for (table, name), was_rule in before.rules.items():
        if table in kept and (table, name) not in after.rules and was_rule.kind in "pux":
            yield f"rule {table}.{name}: is gone, and an upsert may name it"
    for (table, name), rule in after.rules.items():
        of_old = rule.kind == "t" or any((table, column) in before.columns for column in rule.columns)
        if table in kept and of_old and before.rules.get((table, name)) != rule:
            yield f"rule {table}.{name}: is new or changed ({rule.definition})"


def _column_changes(name: str, was: Column, now: Column | None) -> Iterator[str]:
    if now is None:
        yield f"{name}: is gone"
        return
    if now.kind != was.kind:
        yield f"{name}: was {was.kind}, is {now.kind}"
    if now.is_required and not (was.is_required or now.has_default):
        yield f"{name}: is required, without a default"
    if was.has_default and not now.has_default:
        yield f"{name}: lost its default"
