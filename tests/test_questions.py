"A question stands alone, and its answer is whole, in order and of the right kind"
import pytest
from synthgen_nb.core.questions import echo, leans, question_wrong, reply_wrong, wrong_kind
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


@pytest.mark.parametrize('question', [
    'Quel est le sens de ce mot ?', '¿Qué hace este comando?', 'Was macht dieser Befehl?', '这个命令做什么？', 'このコマンドは何をしますか？',
    'Qual é a função deste comando?', 'Cosa fa questo comando?', 'Что делает эта команда?', 'Vad gör detta kommando?'])
def test_a_question_that_points_to_its_page_in_other_languages(question):
    assert leans(question)


@pytest.mark.parametrize('question', [
    'Quelle est la différence entre `git pull` et `git fetch`, et quand utiliser ces commandes ?', 'Est-ce que tout cela est possible ?',
    'Wie wird die Datei geöffnet, und wann wird diese Datei geschlossen?', '如何打开文件，该文件何时关闭？',
    'Qué es Debian y por qué esta distribución es estable?'])
def test_what_a_question_has_named_itself_is_no_pointer_in_other_languages(question):
    assert leans(question) == ''


@pytest.mark.parametrize('question, right, wrong', [
    ('Combien de modes existent dans Debian ?', 'Il y a deux modes.', 'Les modes sont décrits dans le manuel.'),
    ('一共有多少个分区？', '默认有八个分区。', '分区是可以修改的。'),
    ('Wie viele Modi gibt es im System?', 'Es gibt drei Modi.', 'Modi gibt es für jedes Wetter.')])
def test_how_many_asks_for_a_number_in_other_languages(question, right, wrong):
    assert wrong_kind(question, right) == '' and wrong_kind(question, wrong)


@pytest.mark.parametrize('question, answer', [
    ('Which command of Debian systems prints the user?', 'Debian.'), ('What does `chunks=True` do?', '`chunks=True`'),
    ('どの命令がLinuxの伝統に従い、Debian システムでは大文字小文字の区別をします？', 'Debian')])
def test_an_answer_says_more_than_its_question(question, answer):
    assert echo(question, answer) and reply_wrong(question, answer, LAMPS)


@pytest.mark.parametrize('question, answer', [
    ('Is it safe to cut the wire?', 'It is safe to cut the wire.'), ('Which is faster, gzip or lzf?', 'lzf'), ('How many modes are there?', '3'),
    ('¿Qué compresor es más rápido, gzip o lzf?', 'lzf'), ('Is `a` allowed?', 'Yes.'), ('Is it?', '')])
def test_a_choice_and_a_yes_may_repeat_the_question(question, answer):
    assert echo(question, answer) == ''
