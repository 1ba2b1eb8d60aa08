"Facts: found wherever they hide, at the place where they say they stand"
import pytest
from hypothesis import given, strategies as st
from synthgen_nb.core.facts import facts, fold, number_facts, sums


@pytest.mark.parametrize('text, value, unit', [
    ('64MB', 64, 'MB'), ('64 megabytes', 64, 'MB'), ('缓存是64兆的', 64, 'MB'), ('６４ MiB', 64, 'MiB'), ('1,024 KiB', 1024, 'KiB'),
    ('7%', 7, '%'), ('-5 °C', -5, 'degC'), ('0x10', 16, ''), ('2.50', 2.5, ''), ('10:3 s', 10, '')])
def test_a_number_has_a_value_and_a_unit(text, value, unit):
    first = number_facts(text)[0]
    assert (first.value, first.unit) == (value, unit)


@pytest.mark.parametrize('text', ['h5py', 'float64', 'the 33rd', 'utf_8'])
def test_a_number_inside_a_word_is_none(text):
    assert not number_facts(text)


@given(st.text(alphabet='ab1 ._-/`"=()兆６\n—', max_size=80) | st.text(max_size=80))
def test_every_fact_stands_at_its_place(text):
    assert len(fold(text)) == len(text)
    for f in facts(text):
        assert f.text.strip() in fold(text)[max(0, f.start - 1):f.end + 1]


def test_sums_are_bounded():
    assert list(sums('2**31-1 and 64*1024, 9**99999, 1/0')) == [2**31 - 1, 65536]


@pytest.mark.parametrize('piece', ['a.', '-a', '1+', 'a/', 'a_', '`a ', '```\n'])
def test_long_text_is_read(piece):
    assert isinstance(facts(piece * 20_000), list)


@pytest.mark.parametrize('text, value', [
    ('Der Kessel fasst 2.400 Liter und ist 1,75 m hoch.', 2400), ('It holds 2,400 litres and is 1.75 m high.', 2400),
    ('El depósito tiene una capacidad de 2.400 litros.', 2400), ('Die Welle ist 2,400 mm dick und 7,5 mm lang.', 2.4),
    ('Das Werk hat 2.400.000 Teile.', 2.4e6), ('Le puits contient 2 400,5 litres.', 2400.5), ("Il pèse 2'400.5 kg.", 2400.5),
    ('The state has 24,00,000 people.', 2.4e6), ('The shaft is 2.400 mm thick and 7.5 mm long.', 2.4)])
def test_a_number_is_read_as_its_document_writes_numbers(text, value):
    assert number_facts(text)[0].value == value


def test_what_is_no_decimal_comma():
    values = lambda text: [f.value for f in number_facts(text)]
    assert values('Zeilen 3,5 und 7') == values('rows 3,5 and 7') == [3, 5, 7] and values('1,2,3') == [1, 2, 3] == values('(1,2) 3')
    assert [f.kind for f in number_facts('Die Version 2.400 und 3.10.200 bei 10.120.130.140; 3,5 mm')][1:3] == ['version', 'version']
    assert number_facts('Version 2.400, 3,5 mm')[0].value == 2.4
    unsure, = number_facts('2.400')
    assert (unsure.value, unsure.also) == (2.4, 2400)


def test_a_claim_is_held_against_the_number_that_its_source_means():
    from synthgen_nb.core.support import Source, unsupported
    source = Source('Der Kessel fasst 2.400 Liter. Er ist 1,75 m hoch.')
    for right in ('Der Kessel fasst 2,400 Liter und ist 1.75 m hoch.', 'Der Kessel fasst 2400 Liter.', 'Er ist 1.75 m hoch.', 'It is 1,75 m high.'):
        assert not unsupported(right, source), right
    for wrong in ('Der Kessel fasst 2,4 Liter.', 'Der Kessel fasst 24000 Liter.', 'It is 175 m high.'):
        assert unsupported(wrong, source), wrong
