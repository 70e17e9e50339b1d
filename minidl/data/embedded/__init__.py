"""The images of Fashion-MNIST that minidl brings along, and the script that made the files (`make.py`)."""
