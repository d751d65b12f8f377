import platform

from tabulate import tabulate

print(tabulate([["python", platform.python_version()], ["machine", platform.machine()]], headers=["what", "value"]))
