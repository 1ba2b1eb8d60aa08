"Two answers are the same only if nothing speaks against it"
import pytest
from hypothesis import given, strategies as st
from synthgen_nb.core.agreement import agree, negated, renumbered, turned


@given(st.text(min_size=1, max_size=80))
def test_a_text_agrees_with_itself(text):
    assert agree(text, text) is True


@given(st.integers(3, 10**6), st.integers(3, 10**6))
def test_a_changed_number_never_agrees(a, b):
    made = 'The buffer of a lamp holds {} readings at a time.'.format
    assert agree(made(a), made(b)) is (a == b)


@pytest.mark.parametrize('text', ['The lamp is bright before dawn.', 'The first 5 lamps are always on.', 'More lamps can be added.'])
def test_what_is_turned_round_is_not_the_same(text):
    for make in (negated, turned, renumbered):
        assert not (other := make(text)) or agree(text, other) is not True


@pytest.mark.parametrize('a, b, same', [
    ('It cannot.', 'No, a lamp of this type cannot be dimmed.', True), ('Yes.', 'No.', False), ('12 V', '12 W', False),
    ('Use `dim_on`.', 'Use `dim_off`.', False), ('B', 'The answer is B.', True)])
def test_cases(a, b, same):
    assert agree(a, b) is same
