# What a developer types. CI runs the same: .ci/run.
SHELL := bash
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## The main job, end to end: load, kill, resume, query, verify (KEEP=1 leaves it running)
	@localstack/demo

.PHONY: test
test: ## Every test, on a PostgreSQL and an S3 of their own (ARGS='…' goes to the test runner)
	@.ci/test $(ARGS)

.PHONY: test-ui
test-ui: ## The status page in a real browser: wide, on a phone, dark (UI_SCREENSHOTS=DIR keeps the pictures)
	@.ci/ui

.PHONY: e2e
e2e: ## The deployed stack on LocalStack, from zip to rows, with kills, outages, a backfill and an upgrade (E2E_ZIPS=DIR)
	@localstack/e2e

.PHONY: bench
bench: ## The loader beside psql \copy, alternated (BENCH_ROWS=1000000 BENCH_ROUNDS=3)
	@localstack/bench

.PHONY: tuning
tuning: ## What settings of PostgreSQL give (TUNING_ROWS=400000 TUNING_ROUNDS=3)
	@localstack/tuning

.PHONY: zip
zip: ## The zips of the Lambda functions (ZIP_ARCHS="arm64 x86_64" DIR=…)
	@infra/zip $(DIR)

.PHONY: deploy
deploy: ## Bring a stack up to date: STACK=… BUCKET=… (PARAMETERS=file.json PREFIX=… DIR=…)
	@infra/deploy --stack "$(STACK)" --bucket "$(BUCKET)" --prefix "$(PREFIX)" \
		$(if $(PARAMETERS),--parameters "$(PARAMETERS)") $(if $(DIR),--zips "$(DIR)")

.PHONY: image
image: ## The container image contract-data-loader, by Docker with BuildKit or Podman (ENGINE=docker IMAGE=name:tag ARGS='…')
	DOCKER_BUILDKIT=1 $(or $(ENGINE),docker) build -f infra/container/Containerfile -t $(or $(IMAGE),contract-data-loader) \
		--build-arg REVISION=$(shell git rev-parse HEAD) $(ARGS) .

.PHONY: check
check: ## Format, clippy, rustdoc, linters, and the checks of functions/tidy
	@.ci/run fmt clippy rustdoc lint && cargo test --locked -p tidy

.PHONY: fmt
fmt: ## Format the Rust code
	@cargo fmt --all

.PHONY: clean
clean: ## Remove what cargo built
	@cargo clean
