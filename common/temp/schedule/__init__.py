"""`temp-schedule`: cleaning by itself, by whatever scheduler the machine has.

`job` is what is to run and how often; `systemd`, `cron`, `launchd` and `windows` say that in the
words of each, install it and remove it; `run` is what it runs.
"""
