"""What a script asks of a browser, so that one of 2016 (Chromium 49) still runs it."""

import re
from collections.abc import Iterator

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

PARSER = Parser(Language(tree_sitter_javascript.language()))
# Kinds of nodes of ECMAScript 2015 that Chromium 49 knows. Whatever is not among them is newer, or was not needed yet.
NODES = """
    program comment expression_statement lexical_declaration variable_declarator arrow_function formal_parameters
    arguments call_expression member_expression subscript_expression new_expression parenthesized_expression
    assignment_expression augmented_assignment_expression binary_expression unary_expression update_expression
    ternary_expression sequence_expression spread_element statement_block if_statement else_clause for_statement
    for_in_statement return_statement try_statement catch_clause empty_statement object array pair
    shorthand_property_identifier property_identifier identifier statement_identifier template_string
    template_substitution string string_fragment escape_sequence regex regex_pattern regex_flags number true false
    null undefined
"""
KNOWN = frozenset(NODES.split())
TOO_NEW = {"async", "await", "**", "?.", "??", "**=", "??=", "||=", "&&=", "import", "export", "yield", "class"}
NEWER_NAMES = re.compile(  # methods and objects that came after Chromium 49
    r"\.(finally|padStart|padEnd|includes|flat|flatMap|at|replaceAll|replaceChildren|append|prepend|before|after|"
    r"closest|toggleAttribute|matchAll|trimStart|trimEnd|allSettled|any|fromEntries|entries|values|randomUUID|"
    r"showModal)\(|\b(onvisibilitychange|AbortController|URLSearchParams|structuredClone|queueMicrotask|globalThis|"
    r"BigInt|WeakRef|IntersectionObserver|ResizeObserver)\b"
)


def newer_than_2016(script: str) -> list[str]:
    """Return what Chromium 49 would not understand, each with its line."""
    tree = PARSER.parse(script.encode())
    wrong = [f"{node.start_point.row + 1}: {node.type}" for node in _nodes(tree.root_node) if _is_newer(node)]
    lines = enumerate(script.splitlines(), 1)
    return wrong + [f"{number}: {found[0]}" for number, line in lines for found in NEWER_NAMES.finditer(line)]


def _is_newer(node: Node) -> bool:
    if node.is_error or node.is_missing or node.type in TOO_NEW:
        return True
    if node.type == "spread_element" and node.parent is not None and node.parent.type == "object":
        return True
    optional_binding = node.type == "catch_clause" and node.child_by_field_name("parameter") is None
    return optional_binding or (node.is_named and node.type not in KNOWN)


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)
