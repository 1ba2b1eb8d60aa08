"A question stands alone, and its answer is whole, in order and of the right kind"
import pytest
from synthgen_nb.core.questions import leans, question_wrong, reply_wrong
from synthgen_nb.core.support import Source

LAMPS = Source("""The modes are:

- `dim`: low light
- `day`: off
- `storm`: blinking

1. Open the case.
2. Cut the wire.
3. Close the fuse box.

New lamps cannot be dimmed in storm mode.""")


@pytest.mark.parametrize('question', [
    'What does the passage say about lamps?', 'What is shown above?', 'According to the text, what burns?',
    'What does the example below print?', 'Why is this figure blue?'])
def test_a_question_that_points_to_its_page(question):
    assert leans(question)


@pytest.mark.parametrize('question', [
    'How is a lamp opened?', 'What does the function `text` return?', 'If a file is locked, is this file readable?', ''])
def test_a_question_that_stands_alone(question):
    assert leans(question) == ''


def test_a_question_names_what_is_there():
    assert question_wrong('What does `blink_rate` do?', LAMPS) and not question_wrong('What does `storm` do?', LAMPS)


@pytest.mark.parametrize('question, answer', [
    ('How many modes are there?', 'There are modes for each weather.'), ('Since when is it there?', 'Since long ago.'),
    ('Can new lamps be dimmed in storm mode?', 'Yes, they can.'), ('What are the modes?', 'There is either `dim` or `day`.'),
    ('What are `dim` and `storm`?', '`dim` is low light.'),
    ('How is it done?', '1. Close the fuse box.\n2. Cut the wire.\n3. Open the case.')])
def test_a_reply_that_is_none(question, answer):
    assert reply_wrong(question, answer, LAMPS)


@pytest.mark.parametrize('question, answer', [
    ('How many modes are there?', 'Three.'), ('Can new lamps be dimmed in storm mode?', 'No.'),
    ('What are the modes?', '`dim`, `day` and `storm`.'), ('How is it done?', '1. Open the case.\n2. Cut the wire.')])
def test_a_reply_that_is_one(question, answer):
    assert reply_wrong(question, answer, LAMPS) == ''
