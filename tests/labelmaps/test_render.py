"""Laws of label maps, and every kernel against an oracle of naive loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmaps.kernels import DENSITY_KINDS, GAUSSIAN_CUT, GAUSSIAN_SIGMA_PX, MENU
from labelmaps.render import ignore_mask, inside_frame, render
from mot.errors import InputError

HEAT_KINDS = tuple(kind for kind in MENU if kind not in DENSITY_KINDS)
quick = settings(max_examples=40, deadline=None)

sizes = st.tuples(st.integers(1, 70), st.integers(1, 90))
strides = st.sampled_from([1, 2, 3, 4, 8])
kinds = st.sampled_from(sorted(MENU))
density_kinds = st.sampled_from(DENSITY_KINDS)
extents = st.one_of(
    st.floats(0, 60), st.just(0.0), st.floats(0, 1e-6), st.floats(1e3, 1e9)
)  # people, points and giants


@st.composite
def boxes_at_centres(draw, size_hw, margin=30.0, most=6):
    """(N, 4) ltwh whose centres lie in the frame or up to `margin` outside."""
    count = draw(st.integers(0, most))
    rows = []
    for _ in range(count):
        x = draw(st.floats(-margin, size_hw[1] + margin))
        y = draw(st.floats(-margin, size_hw[0] + margin))
        w, h = draw(extents), draw(extents)
        rows.append([x - w / 2, y - h / 2, w, h])
    return np.array(rows, float).reshape(-1, 4)


@st.composite
def scenes(draw):
    size_hw = draw(sizes)
    return draw(boxes_at_centres(size_hw)), size_hw


@quick
@given(scenes(), strides, density_kinds)
def test_density_sums_to_the_people_whose_centre_is_inside(scene, stride, kind):
    boxes, size_hw = scene
    painted = render(boxes, size_hw, stride=stride, kind=kind)
    assert painted.dtype == np.float32
    assert painted.shape == (math.ceil(size_hw[0] / stride), math.ceil(size_hw[1] / stride))
    assert (painted >= 0).all()
    assert painted.sum(dtype=float) == pytest.approx(inside_frame(boxes, size_hw).sum(), abs=1e-5)


@quick
@given(scenes(), st.sampled_from([2, 3, 4, 8]), density_kinds)
def test_a_stride_is_sum_pooling_of_stride_one(scene, stride, kind):
    boxes, size_hw = scene
    fine = render(boxes, size_hw, stride=1, kind=kind).astype(float)
    coarse = render(boxes, size_hw, stride=stride, kind=kind)
    h, w = coarse.shape
    padded = np.zeros((h * stride, w * stride))
    padded[: size_hw[0], : size_hw[1]] = fine
    pooled = padded.reshape(h, stride, w, stride).sum(axis=(1, 3))
    np.testing.assert_allclose(coarse, pooled, atol=2e-6)


@quick
@given(
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    st.sampled_from([1, 2, 4]),
    kinds,
    st.lists(st.tuples(*[st.integers(0, 10**6)] * 4), max_size=5),
)
def test_a_flip_flipped_back_is_itself(cells_hw, stride, kind, draws):
    height, width = cells_hw[0] * stride, cells_hw[1] * stride
    # Centres lie off the lines between cells: there a flip changes sides.
    centres = np.array(
        [[(a % (width * 4)) / 4 + 1 / 8, (b % (height * 4)) / 4 + 1 / 8] for a, b, _, _ in draws]
    ).reshape(-1, 2)
    wh = np.array([[c % 64, d % 64] for _, _, c, d in draws], float).reshape(-1, 2)
    boxes = np.concatenate([centres - wh / 2, wh], axis=1)
    flipped = boxes.copy()
    flipped[:, 0] = width - boxes[:, 0] - boxes[:, 2]
    there = render(flipped, (height, width), stride=stride, kind=kind)
    back = render(boxes, (height, width), stride=stride, kind=kind)
    np.testing.assert_allclose(there[:, ::-1], back, atol=1e-6)


@quick
@given(scenes(), kinds, st.sampled_from([0.0, 0.5, 10, 30, 80, 5000]))
def test_labelrate_is_a_gain_and_nothing_else(scene, kind, labelrate):
    boxes, size_hw = scene
    plain = render(boxes, size_hw, kind=kind)
    gained = render(boxes, size_hw, kind=kind, labelrate=labelrate)
    np.testing.assert_allclose(gained, np.float32(labelrate) * plain, rtol=1e-6)


@quick
@given(scenes(), density_kinds)
def test_people_add_up_one_by_one(scene, kind):
    boxes, size_hw = scene
    together = render(boxes, size_hw, kind=kind)
    alone = [render(box[None], size_hw, kind=kind).astype(float) for box in boxes]
    np.testing.assert_allclose(
        together, np.sum([np.zeros_like(together), *alone], axis=0), atol=1e-5
    )


@quick
@given(scenes(), strides, st.sampled_from(HEAT_KINDS))
def test_heat_is_one_at_each_centre_cell_and_nowhere_else(scene, stride, kind):
    boxes, size_hw = scene
    painted = render(boxes, size_hw, stride=stride, kind=kind)
    centres = (boxes[:, :2] + boxes[:, 2:] / 2)[inside_frame(boxes, size_hw)]
    cells = {tuple(c) for c in (centres[:, ::-1] // stride).astype(int).tolist()}
    assert painted.min() >= 0 and painted.max() <= 1
    # A giant's slope can be too flat for float32; only people-sized ones are told apart.
    if (boxes[:, 2:] < 1e3).all():
        assert {tuple(c) for c in np.argwhere(painted == 1).tolist()} == cells
    assert all(painted[cell] == 1 for cell in cells)


@pytest.mark.parametrize("kind", MENU)
def test_nobody_gives_an_empty_map(kind):
    for nobody in ([], np.empty((0, 4)), [[-50, 10, 20, 20]], [[64, 10, 20, 20]]):
        assert not render(nobody, (33, 65), kind=kind).any()


def test_a_person_half_out_still_counts_as_one_and_all_of_it_is_inside():
    painted = render([[-10, 5, 24, 20]], (40, 40), stride=1, kind="quadratic")
    assert painted.sum(dtype=float) == pytest.approx(1)
    assert painted[:, 14:].sum() == 0 and painted[:, 0].sum() > 0


def test_a_point_lies_in_one_cell():
    painted = render([[10, 10, 4, 8], [12, 12, 0, 0]], (40, 40), kind="point")
    assert np.argwhere(painted).tolist() == [[3, 3]] and painted[3, 3] == 2


def test_centre_sigma_is_a_share_of_the_box_and_at_least_part_of_a_cell():
    painted = render([[100, 100, 200, 200]], (400, 400), kind="centre")
    row, column = 50, 50
    assert painted[row, column + 7] == pytest.approx(math.exp(-0.5), rel=1e-5)  # 0.14·200/4
    assert painted[row + 5, column] == pytest.approx(math.exp(-0.5), rel=1e-5)  # 0.10·200/4
    tiny = render([[202, 202, 1, 1]], (400, 400), kind="centre")
    assert tiny[row, column + 1] == pytest.approx(math.exp(-0.5 / 0.6**2), rel=1e-5)


# --- the oracle: the formulas, pixel by pixel, sampled finely ---


def naive_profile(kind, offset, side):
    """Unnormalised profile of a density kernel at a distance from the centre, in px."""
    if kind in ("quadratic", "half"):
        half = side / 2 * (0.5 if kind == "half" else 1)
        return max(0.0, 1 - (offset / half) ** 2)
    if kind == "box":
        return 1.0 if abs(offset) <= side / 2 else 0.0
    sigma = GAUSSIAN_SIGMA_PX if kind == "gaussian" else side / 6
    return math.exp(-0.5 * (offset / sigma) ** 2) if abs(offset) <= GAUSSIAN_CUT * sigma else 0.0


def naive_density(boxes, size_hw, stride, kind, finer=16):
    cells_hw = (math.ceil(size_hw[0] / stride), math.ceil(size_hw[1] / stride))
    total = np.zeros(cells_hw)
    for left, top, width, height in boxes:
        cx, cy = left + width / 2, top + height / 2
        if not (0 <= cx < size_hw[1] and 0 <= cy < size_hw[0]):
            continue
        one = np.zeros(cells_hw)
        xs = [0.0] * cells_hw[1]
        ys = [0.0] * cells_hw[0]
        for k in range(size_hw[1] * finer):
            xs[k // finer // stride] += naive_profile(kind, (k + 0.5) / finer - cx, width)
        for k in range(size_hw[0] * finer):
            ys[k // finer // stride] += naive_profile(kind, (k + 0.5) / finer - cy, height)
        for row in range(cells_hw[0]):
            for column in range(cells_hw[1]):
                one[row, column] = ys[row] * xs[column]
        total += one / one.sum()
    return total


SCENE = np.array(
    [[3.25, 5.125, 12.5, 20.75], [8, 2, 10, 24], [-4, 20, 14, 18], [30, 1, 9, 9], [36, 20, 20, 9]]
)


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("kind", [k for k in DENSITY_KINDS if k != "point"])
def test_density_against_naive_loops(kind, stride):
    expected = naive_density(SCENE, (37, 43), stride, kind)
    painted = render(SCENE, (37, 43), stride=stride, kind=kind)
    np.testing.assert_allclose(painted, expected, atol=0.002 * expected.max())


@pytest.mark.parametrize("stride", [1, 4])
def test_heat_against_naive_loops(stride):
    size_hw = (37, 43)
    h, w = math.ceil(size_hw[0] / stride), math.ceil(size_hw[1] / stride)
    centre, fidt = np.zeros((h, w)), np.zeros((h, w))
    for left, top, width, height in SCENE:
        cx, cy = left + width / 2, top + height / 2
        if not (0 <= cx < size_hw[1] and 0 <= cy < size_hw[0]):
            continue
        for row in range(h):
            for column in range(w):
                dx = (column - int(cx // stride)) * stride
                dy = (row - int(cy // stride)) * stride
                sx, sy = max(0.14 * width, 0.6 * stride), max(0.10 * height, 0.6 * stride)
                value = math.exp(-0.5 * ((dx / sx) ** 2 + (dy / sy) ** 2))
                centre[row, column] = max(centre[row, column], value)
                p = math.hypot(dx, dy)
                fidt[row, column] = max(fidt[row, column], 1 / (p ** (0.02 * p + 0.75) + 1))
    # Kernels end where they have fallen to about 0.01.
    np.testing.assert_allclose(
        render(SCENE, size_hw, stride=stride, kind="centre"), centre, atol=0.012
    )
    np.testing.assert_allclose(render(SCENE, size_hw, stride=stride, kind="fidt"), fidt, atol=0.011)
    near = centre > 0.05
    painted = render(SCENE, size_hw, stride=stride, kind="centre")
    np.testing.assert_allclose(painted[near], centre[near], rtol=1e-5)


# --- ignore regions ---


@quick
@given(scenes(), strides)
def test_ignore_mask_marks_cells_whose_centre_is_in_a_region(scene, stride):
    boxes, size_hw = scene
    mask = ignore_mask(boxes, size_hw, stride=stride)
    h, w = mask.shape
    expected = np.zeros((h, w), bool)
    for left, top, width, height in boxes:
        own = np.floor((left + width / 2) / stride), np.floor((top + height / 2) / stride)
        columns = [c for c in range(w) if left <= (c + 0.5) * stride < left + width]
        rows = [r for r in range(h) if top <= (r + 0.5) * stride < top + height]
        any_column = columns or [c for c in range(w) if c == own[0]]
        any_row = rows or [r for r in range(h) if r == own[1]]
        for row in any_row:
            for column in any_column:
                expected[row, column] = True
    # A cell's centre on the very edge may fall either way by rounding.
    assert (mask != expected).sum() <= (0 if len(boxes) == 0 else 0.05 * mask.size)


def test_ignore_mask_of_a_plain_region():
    mask = ignore_mask([[8, 4, 16, 8]], (20, 40))
    assert mask.shape == (5, 10)
    assert mask.sum() == 8 and mask[1:3, 2:6].all()


# --- bad input ---


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"kind": "sharp"}, "kind"),
        ({"labelrate": float("nan")}, "labelrate"),
        ({"stride": 0}, "size"),
        ({"size_hw": (0, 5)}, "size"),
        ({"boxes_ltwh": [[1, 2, 3]]}, "boxes"),
        ({"boxes_ltwh": [[1, 2, float("nan"), 4]]}, "box 0"),
        ({"boxes_ltwh": [[1, 2, 3, 4], [1, 2, -3, 4]]}, "box 1"),
    ],
)
def test_bad_input_is_named(change, where):
    arguments = {"boxes_ltwh": [[1, 2, 3, 4]], "size_hw": (10, 10)} | change
    with pytest.raises(InputError) as caught:
        render(arguments.pop("boxes_ltwh"), arguments.pop("size_hw"), **arguments)
    assert where in caught.value.where
