"""A service that replays flight logs, with a directory of `common.temp` for each job."""
