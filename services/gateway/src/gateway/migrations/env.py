from gateway.tables import metadata
from service_kit.migrations import run_environment

run_environment(metadata)
