# Hushmeter: a board gets this file as main.py, last of all; without it the meter stays at the prompt.
import firmware.start

firmware.start.start()
