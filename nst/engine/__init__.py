"""The method: costs, style targets, the objective, optimisers, schedules and runs.

Must not know jobs, the page or the Hub.
"""
