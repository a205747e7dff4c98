#compdef gravscope
# zsh completion for gravscope, printed by: gravscope completion zsh
# Only names and ids of jobs are asked for, everything else stands in here.

# Names and ids of jobs, as gravscope orders them: those of live ones first.
_gravscope_ask() {
  local -a found shown
  local line
  if [[ $PREFIX == */* ]]; then
    _files
    return
  fi
  for line in ${(f)"$(${~${(Q)program}} _complete $1 ${(Q)PREFIX} 2>/dev/null)"}; do
    found+=(${line%%$'\t'*})
    shown+=("${line%%$'\t'*} -- ${line#*$'\t'}")
  done
  compadd -V jobs -l -d shown -a found
}

#functions#
if [[ $funcstack[1] == _gravscope ]]; then
  _gravscope "$@"
else
  compdef _gravscope gravscope
fi
