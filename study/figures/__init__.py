"""The figures: each is drawn from the library's own objects (runs, schedules, networks), none by hand."""
