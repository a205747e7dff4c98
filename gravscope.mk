# Make include of gravscope: `include $(shell gravscope make-include)` in any Makefile.
#
#   X-bg                   every target X as a job of its own, named X with - as _; variables given to make pass through
#   jobs-run NAME= CMD=    any shell string as a job
#   jobs-status            jobs-logs NAME=            jobs-cancel NAME=
#   start, continue        the coding agent (AGENT, START_ARGS, CONTINUE_ARGS) in a scope or a session of its own
#
# JOB_OPTIONS is for gravscope run (JOB_OPTIONS="--mem-high 6G --mem-max 8G"), GRAVSCOPE for another way to call it.

# Including this never changes what plain `make` does.
gravscope-default-goal := $(.DEFAULT_GOAL)

GRAVSCOPE ?= gravscope
JOB_OPTIONS ?=
AGENT ?= codex
START_ARGS ?=
CONTINUE_ARGS ?= resume --last
BG_MAKEFILE := $(firstword $(MAKEFILE_LIST))

# Memory-safe defaults for numerical Python; gravscope run sets the same unless told --no-memsafe.
MEMSAFE_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMEXPR_MAX_THREADS=1 MALLOC_ARENA_MAX=2

# $(call gravscope-quote,TEXT): TEXT as one word for the shell, whatever is in it
gravscope-quote = '$(subst ','\'',$(1))'
# $(call gravscope-need,NAME,EXAMPLE): one clear line where a variable is missing
gravscope-need = $(if $($(1)),,$(error $(1) is missing; type: make $@ $(2)))
# Variables given on this make's command line, each as one shell word. MAKEFLAGS itself is not handed on: it may name
# a job server that is gone by the time the job runs.
gravscope-given = $(foreach v,$(filter-out GRAVSCOPE JOB_OPTIONS,$(sort $(.VARIABLES))),$(if $(findstring command line,$(origin $(v))),$(call gravscope-quote,$(v)=$(value $(v)))))

# Every target has a background twin, for free. BG_NEEDS, set above the include, is made before any of them is started.
%-bg: $(BG_NEEDS)
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL $(GRAVSCOPE) run -n $(call gravscope-quote,$(subst /,_,$(subst -,_,$*))) $(JOB_OPTIONS) \
	  -- $(MAKE) --no-print-directory -f $(call gravscope-quote,$(BG_MAKEFILE)) $(call gravscope-quote,$*) $(gravscope-given)

.PHONY: jobs-run jobs-status jobs-logs jobs-cancel start continue
jobs-run:
	$(call gravscope-need,NAME,NAME=fit CMD="python fit.py")
	$(call gravscope-need,CMD,NAME=fit CMD="python fit.py")
	@$(GRAVSCOPE) run -n $(call gravscope-quote,$(NAME)) $(JOB_OPTIONS) --shell -- $(call gravscope-quote,$(value CMD))

jobs-status:
	@$(GRAVSCOPE) status

jobs-logs:
	$(call gravscope-need,NAME,NAME=fit)
	@$(GRAVSCOPE) logs $(LOGS_OPTIONS) -- $(call gravscope-quote,$(NAME))

jobs-cancel:
	$(call gravscope-need,NAME,NAME=fit)
	@$(GRAVSCOPE) cancel -- $(call gravscope-quote,$(NAME))

# In a scope of its own, so that what becomes of this terminal's scope does not take the agent with it. Where there is no
# user manager, at least in a session of its own, apart from what is killed in this terminal's process group.
gravscope-setsid := $(if $(shell command -v setsid),setsid -w)
define gravscope-agent
@if $(GRAVSCOPE) run --fg --launcher scope --dry-run -- true >/dev/null 2>&1; \
  then $(GRAVSCOPE) run --fg -- $(AGENT) $(1); \
  else $(gravscope-setsid) $(AGENT) $(1); fi
endef
start:
	$(call gravscope-agent,$(START_ARGS))

continue:
	$(call gravscope-agent,$(CONTINUE_ARGS))

.DEFAULT_GOAL := $(gravscope-default-goal)
