#!/bin/sh
# A role, a schema and the newest tables for each service that has a database, then the first user and the catalogue of models.
# Idempotent; runs before the services, whatever version was there before. Each history runs as the role that owns the schema.
# All other settings are files in /run/secrets, which the programs read by themselves.
set -eu

own_database() { cat "/run/secrets/$1_database_url"; }

python -m service_kit.provision
for service in gateway orchestrator artifacts; do
    DATABASE_URL=$(own_database "$service") python -m "$service.migrate"
done
DATABASE_URL=$(own_database gateway) python -m gateway.initial_data
