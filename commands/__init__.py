"""What `run_search.py` does besides searching: one command, one file.

A command is a module with `add_arguments(parser)` and `run(chosen) -> exit status`, which raises
ValueError for what a person wrote.  Like run_search.py they know the toolbox and the problems.
"""

COMMANDS: dict[str, str] = {
    "compare": "commands.compare",
    "export": "commands.export",
    "report": "commands.report",
    "retrain": "commands.retrain",
    "supernet": "commands.supernet",
}
