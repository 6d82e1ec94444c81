"""`make bench`: what the whole real system carries on this machine, load generator included.

Jobs of `simulated-v1` that take no time, so that what is measured is the pipeline: REST, bus, database, dispatch, worker,
projection. Everything is durable as in production: quorum queues, confirms, synchronous commits.
"""

import argparse
import asyncio
import os
import secrets
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from burst import Measured, burst, job_body
from connection import Connection
from tracing_cost import tracing_cost

from devstack.servers import servers
from devstack.services import StackSettings, Superuser
from devstack.stack import Stack


async def idle_latency(stack: Stack, *, jobs: int, output_bytes: int) -> list[float]:
    """Milliseconds from sending the POST to seeing SUCCEEDED, one job at a time."""
    connection = await Connection(stack.api_url, stack.api_key).open()
    latencies = []
    for _ in range(jobs):
        sent = time.perf_counter()
        job_id = await connection.post_job(job_body(output_bytes))
        while (await connection.job(job_id))["status"] != "SUCCEEDED":  # noqa: ASYNC110  # all a front end can do
            await asyncio.sleep(0.002)  # a front end has nothing but polling either
        latencies.append((time.perf_counter() - sent) * 1000)
        await asyncio.sleep(0.02)
    connection.close()
    return latencies


async def reads(stack: Stack, *, seconds: float, clients: int) -> tuple[float, list[float]]:
    """GETs a second of one gateway process, and their latencies."""
    connection = await Connection(stack.api_url, stack.api_key).open()
    job_ids = [await connection.post_job(job_body(0)) for _ in range(50)]
    connection.close()
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection = await Connection(stack.api_url, stack.api_key).open()
        while (sent := time.perf_counter()) < until:
            await connection.job(job_ids[(number + len(latencies)) % len(job_ids)])
            latencies.append((time.perf_counter() - sent) * 1000)
        connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return len(latencies) / seconds, latencies


def percentiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return f"p50 {cuts[49]:6.1f} ms   p99 {cuts[98]:6.1f} ms"


def report(title: str, measured: Measured) -> None:
    print(f"\n{title}")
    print(
        f"  end to end   {measured.jobs / measured.seconds:6.0f} jobs/s   ({measured.jobs} jobs in {measured.seconds:.1f} s)"
    )
    print(f"  POST         {percentiles(measured.post_ms)}")
    print("  CPU          ms per job, by process")
    total = 0.0
    for name, seconds in sorted(measured.cpu.items(), key=lambda item: -item[1]):
        total += seconds
        print(f"    {name:<22}{seconds / measured.jobs * 1000:6.2f}")
    print(f"    {'all':<22}{total / measured.jobs * 1000:6.2f}   ({total / measured.seconds:.2f} cores busy)")


def machine() -> str:
    """How fast one core is right now, and how much of it we get: shared machines differ by the hour."""
    wall, cpu, total = time.perf_counter(), time.process_time(), 0
    for number in range(5_000_000):
        total += number
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    version = f"{sys.implementation.name} {sys.version.split()[0]}"
    return f"{os.cpu_count()} cores, {version}: 5 M additions take {cpu:.2f} s CPU in {wall:.2f} s"


@asynccontextmanager
async def stack_for(arguments: argparse.Namespace) -> AsyncIterator[Stack]:
    directory = Path(".state/bench")
    async with servers(directory / "servers", durable=True) as addresses:
        settings = StackSettings(
            state_directory=directory / "services",
            superuser=Superuser("bench", secrets.token_urlsafe(24), secrets.token_urlsafe(32)),
            worker_models=f"simulated-v1:{arguments.slots}",
            log_format="json",
        )
        async with Stack(addresses, settings) as stack:
            yield stack


async def main(arguments: argparse.Namespace) -> None:
    print(f"Before   {machine()}")
    async with stack_for(arguments) as stack:
        if arguments.tracing:
            await tracing_cost(stack, rounds=arguments.tracing, jobs=arguments.jobs, clients=arguments.clients)
            print(f"\nAfter    {machine()}")
            return
        await burst(stack, jobs=300, clients=8, output_bytes=4096)  # warm: pools, plans, engines
        control = await burst(stack, jobs=arguments.jobs, clients=arguments.clients, output_bytes=0)
        report(f"Pipeline alone: no output files, {arguments.clients} clients", control)
        files = await burst(stack, jobs=arguments.jobs // 2, clients=arguments.clients, output_bytes=4096)
        report(
            f"With a 4 KiB model file each: granted, uploaded, verified, registered, {arguments.clients} clients", files
        )
        print("\nIdle, one job at a time: POST sent to SUCCEEDED seen")
        print(f"  no output files   {percentiles(await idle_latency(stack, jobs=100, output_bytes=0))}")
        print(f"  4 KiB model file  {percentiles(await idle_latency(stack, jobs=100, output_bytes=4096))}")
        rate, latencies = await reads(stack, seconds=5.0, clients=arguments.clients)
        print(f"\nGET /jobs/{{id}}, one gateway process, {arguments.clients} clients")
        print(f"  {rate:6.0f} GET/s   {percentiles(latencies)}")
    print(f"\nAfter    {machine()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--slots", type=int, default=32, help="attempts the worker runs at once")
    parser.add_argument(
        "--tracing", type=int, default=0, metavar="ROUNDS", help="measure what tracing costs instead, in so many rounds"
    )
    uvloop.run(main(parser.parse_args()))
