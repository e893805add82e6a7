# Daybook. `make help` lists what can be made.

.DEFAULT_GOAL := help
.PHONY: help run test sim torture soak lint build program console bench generate clean

# What is built goes by the name that git gives it; where there is no git, by none. The owner of the files may be another.
release = $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null)

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run: build ## Build and start Daybook, everything embedded, on ./data
	bin/daybook serve

test: ## Run every test; gets and starts Kafka, PostgreSQL and Chromium by itself
	scripts/test

sim: ## Simulate what can go wrong, for TIME=10m, from SEED=1
	go run ./internal/sim/cmd -time $(or $(TIME),1m) $(if $(SEED),-seed $(SEED)) $(if $(HISTORIES),-histories $(HISTORIES)) $(if $(BUG),-bug $(BUG))

torture: ## Kill, stop and cut what runs, for TIME=10m or KILLS=1000, from SEED=1, on BACKEND=kafka; BUG=all plants bugs
	scripts/torture

soak: build ## Keep half of the maximum load up, for TIME=60m, on BACKEND=embedded, and tell whether anything grows
	scripts/soak

lint: ## Check style, imports and common mistakes
	scripts/lint

build: console ## Build bin/daybook with the playground in it
	@$(MAKE) --no-print-directory program

program: # Builds bin/daybook, or PROGRAM, with what there is of the playground.
	go build -buildvcs=false -ldflags "-X main.release=$(release)" -o $(or $(PROGRAM),bin/daybook) ./cmd/daybook

console: ## Build the playground when its sources are newer
	scripts/console

bench: build ## Measure Daybook beside its parts alone, on both backends
	scripts/with-services sh -c 'bin/daybook bench --kafka-brokers "$$DAYBOOK_TEST_KAFKA" --database-url "$$DAYBOOK_TEST_POSTGRES"'

generate: ## Write the generated code and documents anew
	go generate ./graph
	go generate ./internal/catalogue ./internal/errorlist

clean: ## Remove what was built; keeps data and fetched services
	rm -rf bin console/dist console/node_modules
