"""What `run_search.py` does besides searching: one command, one file.

A command is a module with `add_arguments(parser)` and `run(chosen) -> exit status`, which raises
ValueError for what a person wrote.  Like run_search.py they know the toolbox and the problems.
"""

COMMANDS: dict[str, str] = {
    "compare": "deap_nas.commands.compare",
    "export": "deap_nas.commands.export",
    "latency": "deap_nas.commands.latency",
    "plan": "deap_nas.commands.plan",
    "report": "deap_nas.commands.report",
    "retrain": "deap_nas.commands.retrain",
    "start": "deap_nas.commands.start",
    "supernet": "deap_nas.commands.supernet",
    "trust": "deap_nas.commands.trust",
}
