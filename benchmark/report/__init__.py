"""Leaderboard, tables, plots and page of a suite, made from records alone."""
