"""Fills of arrays in the memory of NVIDIA's GPUs, by the same sources as those of the CPU.

    arrays.py    what an object exports: memory on a GPU, and the stream that orders its use
    source.py    the text of the kernels
    compile.py   text to machine code, by NVRTC, and the cache of it on disk
    driver.py    the calls of NVIDIA's driver
    launch.py    the fill: checks, the kernel, its launch

Nothing of CUDA is imported before an array on a GPU is filled. _core asks arrays.py what it is
given; fill.py and plans call launch.py.
"""
