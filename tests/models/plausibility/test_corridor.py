"""Where a rectum can lie, and how a place is said."""

import pytest

from models.plausibility.body import body_of
from models.plausibility.corridor import doubt_of, in_words, is_established, place_of
from models.plausibility.records import EDGE, OUTSIDE, PLACE

RECTUM = (4.0, 25.0)  # 64 % of the way from front to back


@pytest.fixture(scope="module")
def body(pelvis):
    return body_of([pelvis()])


def test_a_finding_where_the_rectum_lies_stands_and_its_place_is_established(body, ball):
    place = place_of(ball(*RECTUM), body)
    assert doubt_of(place) is None
    assert is_established(place)
    assert in_words(place) == "in the region of the rectum, near the midline"


@pytest.mark.parametrize(
    ("at", "code", "words"),
    [
        ((-55.0, 60.0), PLACE, "at the right gluteal region"),
        ((55.0, 60.0), PLACE, "at the left gluteal region"),
        ((4.0, -40.0), PLACE, "in the anterior pelvis (bladder, prostate or uterus), near the midline"),
        (
            (-25.0, -40.0),
            PLACE,
            "in the anterior pelvis (bladder, prostate or uterus), about 30 mm right of the midline",
        ),
        ((90.0, 0.0), PLACE, "at the left hip or pelvic side wall"),
        ((0.0, 95.0), EDGE, "under the skin, near the midline"),
        ((0.0, -101.0), EDGE, "under the skin, near the midline"),
        ((0.0, 125.0), OUTSIDE, "outside the body"),
    ],
)
def test_a_finding_where_no_rectum_can_be_is_doubted_and_its_place_is_said(body, ball, at, code, words):
    place = place_of(ball(*at), body)
    assert doubt_of(place).code == code
    assert in_words(place) == words


def test_a_finding_that_reaches_into_the_corridor_with_most_of_it_stands(body, ball):
    assert doubt_of(place_of(ball(40.0, 25.0, radius=18.0), body)) is None


def test_a_field_of_view_that_shows_no_surface_leaves_the_place_open(pelvis, ball):
    body = body_of([pelvis(width=180, height=170)])
    for at in (RECTUM, (4.0, -30.0)):
        place = place_of(ball(*at), body)
        assert doubt_of(place) is None
        assert not is_established(place)
        assert "that the fields of view do not tell" in in_words(place)


def test_what_is_outside_with_any_body_is_outside_of_a_field_of_view_that_shows_the_back_alone(pelvis, ball):
    body = body_of([pelvis(width=180, height=170, centre=(0.0, 45.0))])
    assert doubt_of(place_of(ball(*RECTUM), body)) is None
    assert doubt_of(place_of(ball(60.0, 25.0), body)).code == PLACE


def test_the_tumours_of_simulated_patients_stand_and_their_prostates_do_not(simulated_places):
    tumours, prostates = simulated_places
    assert [place for place in tumours if doubt_of(place)] == []
    assert (len(tumours), len(prostates)) == (2, 2)
    assert all(doubt_of(place) for place in prostates)
