"""The measuring program behind `scripts/bench`.

The metric of record is the CPU time of the proxy's processes per good answer or event. Every
sample is a fresh proxy with fresh ends; the candidates of a row follow each other in random order,
round after round, and are compared within a round only. The rows stand in `scenarios/`.
"""
