"""The evolving half of deap-nas.  Nothing here knows about torch or the problems.

Start at `toolbox.assemble`: every operator of a search is registered there, on one screen.
"""
