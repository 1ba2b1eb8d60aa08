"What belongs together in a result: rows, their order, what is said of each, and what is asked over all of them"
import pytest

from synthgen_nb.specs.trajectory import Ref
from synthgen_nb.tools.answers import masked, objections_to_answer
from synthgen_nb.tools.belonging import all_told, objections_to_rows, said_alike, rows_told, tables_of, wrong_name, wrong_rows
from synthgen_nb.tools.evidence import Evidence, Step
from synthgen_nb.tools.things import objections_to_things

PANS = [dict(name='ember', litres=2, hot=True, made='2021-03-04', lid=dict(kind='glass'), page='https://example.org/slate'),
        dict(name='slate', litres=7, hot=False, made='2019-11-20', lid=dict(kind='steel'), page='https://example.org/ember'),
        dict(name='fern', litres=3, hot=True, made='2020-06-01', lid=dict(kind='cork'), page='https://example.org/moss')]


def why(request, answer, content=PANS, **arguments):
    ev = Evidence(request, answer, [Step('call_1', 'pans', arguments, content, True, False, ())], {})
    return '; '.join(dict.fromkeys(x.partition(':')[0] for x in objections_to_rows(ev, answer)))


@pytest.mark.parametrize('request_, right, wrong, kind', [
    ('Which pans are on?', 'ember and fern are on; slate is off.', 'slate is on; ember and fern are off.', 'polarity'),
    ('Which pans are on?', 'ember and fern.', 'ember, slate and fern are on.', 'polarity'),
    ('Which pans are on?', 'They are fern and ember.', 'Only fern is on.', 'lost_item'),
    ('List the pans with their lids.', 'ember (glass), slate (steel), fern (cork)', 'ember (glass), fern (cork)', 'lost_item'),
    ('List the pans with their lids.', 'ember (glass), slate (steel), fern (cork)', 'ember (steel), slate (glass), fern (cork)', 'swapped'),
    ('List the pans in order.', '1. ember\n2. slate\n3. fern', '1. fern\n2. slate\n3. ember', 'wrong_order'),
    ('When was each pan made?', 'ember on 4 March 2021, slate on 20 November 2019, fern on 1 June 2020.',
     'ember on 20 November 2019, slate on 4 March 2021, fern on 1 June 2020.', 'swapped'),
    ('How many litres do the pans hold altogether?', '12 litres altogether.', 'Together they hold 7 litres.', 'untold'),
    ('What is the mean of the litres?', 'The mean is 4.', 'The mean is 7.', 'untold'),
    ('Which pan has the most litres?', 'slate, with 7.', 'fern, with 3.', 'untold')])
def test_rows(request_, right, wrong, kind):
    assert kind in why(request_, wrong).split('; ') and not why(request_, right)


def test_what_is_not_asked_for_may_be_left_out():
    assert not why('Which pan holds more than 5 litres?', 'slate, with 7 litres.')
    assert not why('Show the first two pans.', 'ember and slate.') and not why('Which pans have a glass lid?', 'ember.')


def test_a_name_is_known_by_the_column_that_the_answer_uses():
    table = tables_of(Evidence('', '', [Step('call_1', 'pans', {}, PANS, True, False, ())], {}))[0]
    assert rows_told(table, 'First slate, then ember.') == ('name', [(6, 11, 1), (18, 23, 0)])
    assert all_told(Evidence('Which pans are there?', 'x', [Step('c', 'pans', {}, PANS, True, False, ())], {}), 'fern, ember, slate')


def test_an_object_with_an_entry_for_each_thing_is_a_table():
    sent = {'sent': {'USR7': ['The oven is free.'], 'USR8': ['Bring flour.'], 'USR9': ['Bring flour.']}}
    ask = 'Show me what I wrote, and to whom.'
    assert not why(ask, 'To USR7 “The oven is free.”, to USR8 and USR9 “Bring flour.”.', sent)
    assert why(ask, 'To USR7 “Bring flour.”, to USR8 and USR9 “The oven is free.”.', sent) == 'swapped'
    assert why(ask, 'To USR7 “The oven is free.”, to USR8 “Bring flour.”.', sent) == 'lost_item'


def test_a_reference_takes_the_row_that_the_request_names():
    calls = [Step('call_1', 'pans', {}, PANS, True, False, ()), Step('call_2', 'lid', {'lid': 'steel'}, {'weight': 3}, True, False, ())]
    taken = lambda n: (Ref(param='/lid', call='call_1', path=f'/{n}/lid/kind'),)
    for n, wrong in ((1, False), (2, True)):
        calls[1] = Step('call_2', 'lid', {'lid': 'x'}, {'weight': 3}, True, False, taken(n))
        assert bool(list(wrong_rows(Evidence('How heavy is the lid of the pan slate?', '', calls, {})))) == wrong


def test_made_under_its_name():
    made = lambda name: list(wrong_name(Evidence('Create a shelf called attic.', '', [Step('c', 'make', {'name': name}, 'done', True, True, ())], {})))
    assert not made('attic') and made('attics') and made('cellar')


@pytest.mark.parametrize('answer, good', [('The recipe is Rye loaf, and it rests for 95 seconds.', True),
                                          ('Rye loaf; it rests for 1 minute and 35 seconds.', True),
                                          ('The recipe is moss; it rests for 95 seconds.', False), ('The recipe is Rye loaf.', False)])
def test_the_field_that_is_asked_for(answer, good):
    content = dict(recipeName='Rye loaf', checksum='moss', restSeconds=95)
    assert bool(why('Which recipe is loaded, and how long does it rest?', answer, content)) != good


def test_texts_that_mark_deny_and_list():
    shelves = '  attic\n* cellar\n  pantry'
    assert why('Which shelf is selected?', 'attic is selected.', shelves) and not why('Which shelf is selected?', 'The selected shelf is cellar.', shelves)
    report = 'Shelf cellar\nJars not sealed yet:\n  plum'
    assert why('Are the jars sealed?', 'The jars are sealed.', report) == 'polarity' and not why('Are the jars sealed?', 'They are not sealed.', report)
    assert 'unseen' in why('Which shelf is selected?', 'cellar is selected, and I also painted it.', shelves)


PLANETS = {
    "planets": [
        {"uid": "planet_c4", "name": "Zephyr update", "planetClass": True, "device_type": "kestrel", "number": 3},
        {"uid": "planet_d5", "name": "Ember update", "planetClass": False, "device_type": "lumen", "number": 4},
        {"uid": "planet_9f", "name": "Quartz release", "planetClass": True, "device_type": "onyx", "number": 5},
    ]
}


@pytest.mark.parametrize(
    "answer, faulty",
    [
        ("There are 3 planets: Zephyr update, Ember update and Quartz release.", False),
        ("There are 3 planets: Zephyr update, Ember update and Quartz release. The uid planet_9f is the last one's.", False),
        ("There are 3 planets: Zephyr update, Ember update and Quartz release. The device type is kestrel for the first.", False),
        ("There are 3 planets: Zephyr update and Quartz release.", True),
        ("Zephyr update has the uid planet_d5, Ember update planet_c4 and Quartz release planet_9f.", True),
    ],
)
def test_a_list_and_what_is_said_after_it(answer, faulty):
    ev = Evidence("Look up the planets, please.", answer, [Step("call_1", "list_planets", {}, PLANETS, True, False, ())], {})
    own = masked(ev)
    found = [*objections_to_answer(ev), *objections_to_things(ev, own), *objections_to_rows(ev, own)]
    assert bool(found) == faulty, found


HALLS = [f'/halls/{hall}/{kind}' for hall in ('east', 'north', 'south') for kind in ('light', 'noise', 'wind_speed')] + ['/clock/hours']
WHICH = 'Which datasets carry a units value? The file is weather.h5.'


@pytest.mark.parametrize('answer, kinds', [
    ('The units are stored in the datasets light, noise, wind_speed, north, light, noise, and wind_speed.', 'foreign_item ambiguous lost_item'),
    ('They are light, noise, wind_speed and hours.', 'ambiguous'),
    ('- light\n- noise\n- wind_speed\n- light\n- noise\n- wind_speed', 'ambiguous'),
    ('In the east: light, noise and wind speed; in the north: light and noise; in the south: light, noise and wind speed; hours.', 'lost_item'),
    ('North: light, noise, wind_speed.', 'lost_item'),
    ('Ten: ' + ', '.join(HALLS) + '. So light, noise and wind_speed have units.', ''),
    ('In each hall light, noise and wind_speed have units, and so has /clock/hours.', ''),
    ('For all three halls: light, noise, wind_speed; and /clock/hours.', ''),
    ('- east: light, noise, wind_speed\n- north: light, noise, wind_speed\n- south: light, noise, wind_speed\n- clock: hours', ''),
    ('- east\n  - light\n  - noise\n  - wind_speed\n- north\n  - light\n  - noise\n  - wind_speed\n- south\n  - light\n  - noise\n'
     '  - wind_speed\n- clock\n  - hours', ''),
    ('Light, noise and wind_speed of the halls east, north and south, and hours of the clock.', ''),
    (', '.join(x.removeprefix('/halls/').removeprefix('/') for x in HALLS), '')])
def test_a_last_name_stands_for_a_path_only_where_it_is_known_which(answer, kinds):
    assert {*why(WHICH, answer, dict(paths=HALLS)).split('; ')} - {''} == {*kinds.split()}


def test_which_paths_are_meant_in_any_world():
    found = dict(matches=['./reports/may/draft.txt', './reports/june/draft.txt', './reports/june/final.txt'])
    ask = 'Find all files below reports whose name ends in txt.'
    assert why(ask, 'The files are draft.txt, draft.txt and final.txt.', found) == 'ambiguous'
    assert why(ask, 'The files are draft.txt and final.txt.', found) == 'ambiguous'
    assert not why(ask, 'may: draft.txt; june: draft.txt and final.txt.', found)
    assert not why(ask, 'may/draft.txt, june/draft.txt and final.txt.', found)
    assert not why('Which kinds of document are there?', 'Drafts: draft.txt and final.txt.', found)
    assert not why('Which files are in june?', 'draft.txt and final.txt.', found)
    assert why(ask, 'The files are draft.txt and final.txt.', '\n'.join(found['matches'])) == 'ambiguous'
    routes = [dict(method='get', route='/pets/{id}/photos'), dict(method='get', route='/shops/{id}/photos'), dict(method='put', route='/shops/{id}/name')]
    assert why('List the routes.', 'photos, name and photos', routes) == 'ambiguous'
    assert not why('List the routes.', 'photos of pets; photos and name of shops', routes)


def test_a_folder_may_be_an_entry_itself():
    tree = dict(paths=['/halls', '/halls/east', *(x for x in HALLS if 'east' in x), '/halls/north', *(x for x in HALLS if 'north' in x), '/clock'])
    ask = 'Which objects are there?'
    assert not why(ask, '/halls and /clock. East: light, noise, wind_speed. North: light, noise, wind_speed.', tree)
    assert not why(ask, '- halls\n  - east\n    - light\n    - noise\n    - wind_speed\n  - north\n    - light\n    - noise\n    - wind_speed\n- clock', tree)
    assert why(ask, 'halls, east, light, noise, wind_speed, north, light, noise, wind_speed and clock', tree) == 'ambiguous'
    assert why(ask, 'light, noise, wind_speed and clock', tree) == 'ambiguous'


@pytest.mark.parametrize('answer, wrong', [
    ('The mean of light is 2.5 and that of light is 3.5.', True),
    ('The mean of light is 2.5 in the north and 3.5 in the south.', False),
    ('The light has a mean of 2.5 in the north; in the south the light has 3.5.', False),
    ('The first light has a mean of 2.5, the second light one of 3.5.', False),
    ('The mean of /halls/north/light is 2.5, that of /halls/south/light 3.5.', False)])
def test_two_things_that_were_looked_up_are_not_told_by_one_name(answer, wrong):
    steps = [Step(f'call_{i}', 'mean', dict(path=f'/halls/{hall}/light'), dict(mean=i + .5), True, False, ())
             for i, hall in enumerate(('north', 'south'), 2)]
    ev = Evidence('Compare the means of /halls/north/light and /halls/south/light.', answer, steps, {})
    assert bool(list(said_alike(ev, answer))) == wrong
