"""The jobs: one file each, short and straight. Only this package composes and instantiates configuration."""
