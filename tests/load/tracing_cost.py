"""`make bench ARGS="--tracing 5"`: what tracing costs, with a collector that takes every span and forgets it.

Each round measures the same jobs with tracing off, with every trace sampled, and with one in ten, one after the other in changing
order: the machine's speed changes from minute to minute, so only what was measured close together can be compared. Hence also the
CPU, which changes less than the clock: it is what tracing really takes.
"""

import statistics
from collections.abc import Mapping

from burst import Measured, burst

from devstack.otlp.receiver import OtlpReceiver
from devstack.stack import Stack

_WARM_JOBS = 500
_OFF = "off"
_SHARES = {_OFF: None, "all": 1.0, "one in ten": 0.1}
_SERVICES = ("gateway", "orchestrator", "gpu_worker", "artifacts")


async def tracing_cost(stack: Stack, *, rounds: int, jobs: int, clients: int) -> None:
    """Runs the rounds and prints them, and in the end the medians of what each round says of its own."""
    measured: dict[str, list[Measured]] = {mode: [] for mode in _SHARES}
    async with OtlpReceiver(keep=False) as collector:
        for number in range(rounds):
            modes = list(_SHARES)
            for mode in modes[number % 3 :] + modes[: number % 3]:
                await _restart(stack, _environment(collector, _SHARES[mode]))
                await burst(stack, jobs=_WARM_JOBS, clients=clients, output_bytes=0)
                before = collector.requests
                measured[mode].append(await burst(stack, jobs=jobs, clients=clients, output_bytes=0))
                _print_burst(number, mode, measured[mode][-1], collector.requests - before)
    _print_medians(measured)


async def _restart(stack: Stack, environment: Mapping[str, str]) -> None:
    await stack.stop()
    for name in stack.names():
        await stack.start_with(name, environment)
    await stack.wait_ready()


def _environment(collector: OtlpReceiver, share: float | None) -> dict[str, str]:
    if share is None:
        return {"OTEL_SDK_DISABLED": "true"}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(share),
    }


def _print_burst(number: int, mode: str, measured: Measured, requests: int) -> None:
    print(
        f"  round {number + 1}  {mode:<11}{measured.jobs / measured.seconds:6.0f} jobs/s   "
        f"services {_cpu_ms(measured):5.2f} ms CPU a job ({_by_service(measured)})   "
        f"POST p50 {statistics.median(measured.post_ms):5.1f} ms   {requests} export requests",
        flush=True,
    )


def _print_medians(measured: dict[str, list[Measured]]) -> None:
    print(
        f"\n  {'':<11}{'jobs/s':>8}{'of off':>9}{'CPU ms a job':>15}{'more than off':>15}    (medians; of off: round by round)"
    )
    for mode, bursts in measured.items():
        rates = [each.jobs / each.seconds for each in bursts]
        off = [each.jobs / each.seconds for each in measured[_OFF]]
        share = statistics.median(rate / base for rate, base in zip(rates, off, strict=True))
        cpu = statistics.median(map(_cpu_ms, bursts))
        more = statistics.median(_cpu_ms(a) - _cpu_ms(b) for a, b in zip(bursts, measured[_OFF], strict=True))
        print(f"  {mode:<11}{statistics.median(rates):8.0f}{share:9.1%}{cpu:15.2f}{more:15.2f}")


def _by_service(measured: Measured) -> str:
    spent = {name: seconds / measured.jobs * 1000 for name, seconds in sorted(measured.cpu.items())}
    return ", ".join(f"{name} {ms:.2f}" for name, ms in spent.items() if name.startswith(_SERVICES))


def _cpu_ms(measured: Measured) -> float:
    """Of the four services: tracing costs nobody else anything but the collector."""
    seconds = sum(spent for name, spent in measured.cpu.items() if name.startswith(_SERVICES) and "engines" not in name)
    return seconds / measured.jobs * 1000
