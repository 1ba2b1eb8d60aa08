"Evidence: kept rows rest on their source, and a model's word counts only where it is found there"
import asyncio
import json
import pytest
from conftest import command
from hypothesis import given, strategies as st
from synthgen_nb.core.evidence import echoes, find_quote, ground, looked_at, read_quotes, sorted_out
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Pair

TEXT = '''# Lamps

A lamp burns for 40 hours. Its glass is washed with vinegar.
Wet lamps are kept out of the rack, so each shelf stays dry.'''


def pair(answer, question='How long does a lamp burn?'):
    return Pair(question=question, answer=answer, chunk_id='c1', section='Lamps')


def run(pairs, evidence=None):
    model = open_model(provider='offline').at('evidence')
    return asyncio.run(ground(pairs, model, {'c1': TEXT} if evidence is None else evidence)), model.meter.row()['calls']


def test_what_rests_on_its_source_is_kept_without_a_call():
    out, calls = run([pair('A lamp burns for 40 hours.')])
    assert calls == 0 and [TEXT[e.start:e.end] for e in out.kept[0].evidence] == ['A lamp burns for 40 hours.']


def test_an_answer_is_mended_once_and_nothing_is_lost():
    pairs = [pair('A lamp burns for 40 hours. It needs 99 V.'), pair('A lamp burns for 50 hours.'),
             pair('A lamp burns.', 'What does the figure show?')]
    out, calls = run(pairs)
    assert len(out.kept) + len(out.dropped) == len(pairs) and calls >= 2
    assert [(p.answer, p.original_answer) for p in out.kept] == [('A lamp burns for 40 hours.', pairs[0].answer)]
    assert {d.reason.split(':')[0] for d in out.dropped} == {'unsupported', 'question'}


def test_a_pair_without_its_chunk_is_dropped():
    out, calls = run([pair('A lamp burns for 40 hours.')], {})
    assert calls == 0 and out.dropped[0].reason.startswith('no_source')


OPEN = 'Moist ones would spoil everything stored nearby, hence nobody stacks them together.'


@pytest.mark.parametrize('quote, kept', [
    ('Moist lamps spoil everything nearby', False), (None, False), ('washed with vinegar', False)])
def test_a_quotation_has_to_stand_there_and_to_say_it(quote, kept):
    e = looked_at(pair(OPEN, 'Why are wet lamps apart?'), TEXT)
    assert e.open
    read_quotes(e, Answer(dict(quotes=[dict(claim=1, quote=quote)])))
    assert bool(sorted_out([e]).kept) is kept and not e.open


@given(st.integers(0, len(TEXT)), st.integers(0, len(TEXT)))
def test_a_quotation_is_found_at_its_place(a, b):
    quote = TEXT[min(a, b):max(a, b)]
    at = find_quote(quote, TEXT)
    assert at is None or TEXT[slice(*at)].split()[0].strip('.# ').lower() in quote.lower()


def test_white_space_and_marks_are_not_compared():
    at = find_quote('"its  GLASS is\n washed"', TEXT)
    assert at and TEXT[slice(*at)] == 'Its glass is washed'
    assert find_quote('glass', TEXT) is None


def test_the_command(tmp_path):
    run = command(tmp_path)
    (tmp_path / 'lamps.md').write_text(TEXT)
    run('ingest', 'lamps.md', '-o', 'chunks.db')
    run('generate', 'chunks.db', '-o', 'pairs.json', '--provider', 'offline')
    rows = json.loads((tmp_path / 'pairs.json').read_text())
    (tmp_path / 'wrong.json').write_text(json.dumps([*rows, {**rows[0], 'id': 'x', 'answer': 'It has 77 wires.'}]))
    run('evidence', 'wrong.json', '-o', 'kept.json', '--db', 'chunks.db', '--provider', 'offline')
    kept = json.loads((tmp_path / 'kept.json').read_text())
    assert kept and all(r['evidence'] for r in kept) and not any('77' in r['answer'] for r in kept)


def test_an_answer_that_repeats_the_objection_is_none():
    said = '"It is stored as .space.": .space is not in the source'
    assert echoes("It is stored as `.s`: .space is not in the source", [said])
    assert not echoes("It is stored as `.csv`.", [said])


def test_a_claim_that_needs_no_place_is_given_none_that_does_not_say_it():
    text = "# Chunks\n\nA chunk is stored whole, and the cache holds 1 MiB."
    pair = Pair(question="Is a chunk stored whole?", answer="Yes.\n\nHere is why, in short words:\n\nA chunk is stored whole.", chunk_id="c")
    found = looked_at(pair, text)
    assert not found.objections and not found.open
    assert [text[e.start : e.end] for e in found.rests] == ["A chunk is stored whole, and the cache holds 1 MiB."]


def test_a_call_for_quotations_that_fails_is_no_objection():
    pair = Pair(question='How large is a block?', answer='It is as large as a page of the book that it was taken from.', chunk_id='c')
    e = looked_at(pair, 'A cache keeps blocks. The lamp is red.')
    assert e.open
    e.objections = []
    read_quotes(e, Answer(error='empty_reply: nothing is said'))
    (lost,) = sorted_out([e]).dropped
    assert lost.reason.startswith('no_reply:empty_reply') and not e.objections


def test_a_table_that_is_copied_keeps_its_header():
    table = '| Driver | Purpose | Notes |\n| --- | --- | --- |\n| sec2 | Standard optimized driver | Default on UNIX |\n| core | In-memory file | |'
    text = f'The currently supported drivers are:\n\n{table}\n\nAll of them read.'
    e = looked_at(Pair(question='Which file drivers are there?', answer=f'The currently supported drivers are:\n\n{table}', chunk_id='c'), text)
    assert not e.objections and not e.open and not e.hopeless


def test_a_text_taken_over_whole_is_set_aside_before_one_that_only_begins_alike():
    from synthgen_nb.tools.answers import masked
    from synthgen_nb.tools.evidence import Evidence, Step

    texts = ["First version of the nimbus sample.", "First version of the sage sample."]
    for found in (texts, texts[::-1]):
        seen = Evidence("Which is it?", f"It is {texts[1]}", [Step("call_1", "look", {}, found, True, False, ())], {})
        assert "sage" not in masked(seen)


def test_what_was_found_once_is_found_again_only_of_the_same():
    from synthgen_nb.tools.evidence import Evidence, Step, found_once

    asked = []

    @found_once
    def looks(ev, why=""):
        asked.append(ev.answer)
        return len(asked)

    def seen(answer, content, changed=False):
        return Evidence("How many?", answer, [Step("call_1", "count", {}, content, True, changed, ())], {})

    rows = [seen("3", 3), seen("4", 3), seen("3", 4), seen("3", 3, True), seen("3", "3")]
    assert [looks(r) for r in rows] == [looks(r) for r in rows] == [1, 2, 3, 4, 5]
    assert looks(rows[0], "clarification") == 6
