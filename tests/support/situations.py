"""Situations from public bug reports of similar tools, each with the tests that hold how it has to end."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = "unit/anytime/test_image_files.py::test_"
COMMAND = "unit/cli/test_cli_upscale.py::test_"
TOOL = "unit/anytime/test_upscaler.py::test_a_tool_keeps_"
NATIVE = "unit/anytime/test_native.py::test_"
PARAMETERS = "unit/study/test_experiments.py::test_"
DATA = "unit/data/test_data_"

SITUATIONS = {
    "EXIF that cannot be written back": (f"{FILES}upright_whatever_else_the_metadata_hold",),
    "hue and grey are lost": (f"{TOOL}hue_and_grey",),
    "a frame at the border": (f"{TOOL}flat_colours_to_the_border",),
    "a dark ring around what is transparent": ("unit/anytime/test_upscaler.py::test_transparency",),
    "one picture ends a batch": (f"{FILES}one_pictures_trouble_is_its_own",),
    "other images under the same name": ("unit/test_runs.py::test_a_run_is_told_by_its_images",),
    "a file that starts a program": (f"{FILES}no_program_and_no_other_decoder_is_started",),
    "somebody else's compiled kernels": (f"{NATIVE}what_is_not_ours_or_not_whole_is_not_loaded",),
    "private files become readable": (f"{FILES}modes_and_links_stay",),
    "pixels per inch are lost": (f"{FILES}density",),
    "text and comments are lost": (f"{FILES}text_and_comments",),
    "metadata that are too long": (f"{FILES}metadata_that_are_too_long_do_not_cost_the_picture",),
    "colours of half the size": (f"{FILES}colours_of_the_full_size_and_without_loss",),
    "what of a folder is taken": (
        f"{FILES}what_of_a_folder_is_taken_is_told_by_content",
        f"{FILES}a_folder_that_cannot_be_looked_into",
    ),
    "a guard against bombs without a key": (f"{FILES}a_way_past_the_guard",),
    "no home, a compiler with arguments or one that hangs": (
        f"{NATIVE}a_compiler_that_hangs_is_ended_with_its_children_and_remembered",
        f"{NATIVE}a_compiler_with_arguments",
    ),
    "compiled kernels that are cut short": (f"{NATIVE}what_is_not_ours_or_not_whole_is_not_loaded",),
    "parameters of another type, or unknown": (
        f"{PARAMETERS}text_from_a_command_line_is_what_it_stands_for",
        f"{PARAMETERS}every_parameter_of_every_notebook_is_checked",
        f"{PARAMETERS}an_unknown_parameter_of_papermill_is_refused",
        f"{PARAMETERS}a_number_that_is_out_of_range_says_what_there_is",
    ),
    "a notebook in another folder": ("unit/test_errors.py::test_home_is_the_nearest_folder_with_a_book",),
    "numbers that YAML takes for text": (f"{PARAMETERS}numbers_that_yaml_takes_for_text",),
    "going on with a large folder": (f"{FILES}resuming_is_linear",),
    "two pictures of one name": (f"{COMMAND}two_pictures_that_would_become_one",),
    "a wrong ending": (f"{FILES}what_of_a_folder_is_taken_is_told_by_content",),
    "the eight orientations": (f"{DATA}images.py::test_exif_orientation_is_obeyed",),
    "colour profiles": (
        f"{COMMAND}orientation_profile_and_metadata",
        f"{COMMAND}a_profile_for_other_colours_is_left_out",
    ),
    "seams between tiles": ("unit/anytime/test_upscaler.py::test_the_default_network_leaves_no_seams_and_no_tint",),
    "output into the input": (f"{COMMAND}a_folder_in_the_folder_that_is_written_to",),
    "deep and floating-point TIFFs": (f"{FILES}deep_tiffs", f"{FILES}what_numbers_mean"),
    "more than one picture in a file": (f"{COMMAND}a_film_gives_its_first_picture",),
    "names that move the cursor": (f"{COMMAND}names_that_are_no_text_or_would_move_the_cursor",),
    "pipes": (f"{FILES}pipes",),
    "sides that a format does not allow": (f"{COMMAND}too_large_for_the_format",),
    "kills and full disks": (f"{COMMAND}a_full_disk_leaves_nothing_behind",),
    "layouts of Stanford Cars": (
        f"{DATA}official_cars.py::test_folders_within_folders_and_labels_that_lie_apart",
        f"{DATA}official_cars.py::test_the_annotations_that_fit_the_images_are_taken",
    ),
    "layouts of LFW": (f"{DATA}official_faces.py::test_an_archive_gives_the_same_whatever_lies_above",),
    "forms of SAT-4": (f"{DATA}official_geo.py::test_csv_with_what_is_harmless",),
    "a folder of odd images for training": (f"{DATA}images.py::test_a_folder_of_all_sorts",),
    "settings that are misspelt or impossible": (
        "unit/cli/test_cli.py::test_mistakes_are_one_line",
        "unit/test_config.py::test_a_bad_value_is_refused_by_the_name_of_its_field",
    ),
    "a project folder with a blank and a quote": (),
    "odd files on the page that computes": (
        "book/test_try_page.py::test_a_picture_stands_upright_and_on_white",
        "book/test_try_page.py::test_what_is_no_picture_is_refused",
    ),
}
"""What was reported -> tests, by their file below tests/ and name; none where it was tried by hand alone."""


class _Outcomes(dict[str, set[str]]):
    """Of tests without their parameters, by name."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            name = str(TESTS.parent / report.nodeid.partition("[")[0])
            self.setdefault(name, set()).add(report.outcome)


def try_all() -> dict[str, int]:
    """How many there are, have tests, and ended as they have to now; a test that was skipped has shown nothing."""
    tested = {name: [str(TESTS / test) for test in tests] for name, tests in SITUATIONS.items() if tests}
    outcomes = _Outcomes()
    pytest.main(["-q", "-p", "no:cacheprovider", *sorted({*chain(*tested.values())})], plugins=[outcomes])
    right = sum(all(outcomes.get(test) == {"passed"} for test in tests) for tests in tested.values())
    return {"tried": len(SITUATIONS), "tested": len(tested), "right": right}
