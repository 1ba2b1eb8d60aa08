"Claims are spans of their text"
from itertools import pairwise
import pytest
from hypothesis import given, strategies as st
from synthgen_nb.core.claims import claims, segments


@given(st.text(alphabet='aB. \n-*`1)|#>!。块', max_size=120) | st.text(max_size=80))
def test_a_claim_is_a_span(text):
    for cut in (claims, segments):
        found = cut(text)
        assert all(text[c.start:c.end] == c.text for c in found)
        assert all(a.end <= b.start for a, b in pairwise(found))


@pytest.mark.parametrize('text, kinds', [
    ('One. Two.', ['sentence', 'sentence']), ('Use e.g. Gzip here.', ['sentence']), ('- a\n- b', ['item', 'item']),
    ('```\nx = 1\n```', ['code']), ('>>> x', ['code']), ('# Head\nText.', ['heading', 'sentence']),
    ('| a | b |\n|---|---|\n| c | d |', ['row', 'row']), ('这是一。那是二。', ['sentence', 'sentence']), ('', [])])
def test_kinds(text, kinds):
    assert [c.kind for c in claims(text)] == kinds
