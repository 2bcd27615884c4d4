"""`temp-schedule`: cleans on a schedule, with the scheduler of the machine.

`schedulers` lists the schedulers and defines their interface; `command` chooses one. `job` defines
what runs and how often. `systemd`, `cron`, `launchd` and `windows` install and remove a job.
Schedulers run `run`; the setting `auto_clean` starts `automatic`.
"""
