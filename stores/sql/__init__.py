"""The run store on SQL databases. What is the same on all of them is written once.

An exchange is a pipeline (`exchange.pipeline`) over one unit of work (`Changes`); how its
statements are sent is a plan: stepwise, or fused where a database can change rows within WITH.

Where transactions run side by side, all acts take their locks in one order, and so none deadlock:

1. queues with limits, by name (`QueueLimits.lock`);
2. runs, by key, all that the act changes steps of, and those above them that it may wake
   (`Graphs.lock_runs`); what turns out to be missing is fetched by beginning again (`TryAgain`);
3. the steps of these runs, the counters of keys, records by package, collection and key, the rest.

Runs are locked FOR NO KEY UPDATE: PostgreSQL looks at what a foreign key refers to, with a lock of
its own, not only when a row is stored, but also when one is changed twice in a transaction.

Some take steps without their runs: a claim, a renewal, the fence of a checkpoint. These wait for
nothing while they hold one. A claim passes over steps and runs that others hold, and gives back
what it cannot begin; a renewal passes over steps that others hold, and then waits for each of
them alone; a fence takes one step and after it only that step's checkpoint. One-row tables
(`workers`, `kv`) are waited for one row at a time, and cleared of what nobody holds.
"""
