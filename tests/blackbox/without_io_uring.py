"""Runs a program for which the kernel refuses io_uring, as stock container profiles do.

without_io_uring.py PROGRAM [ARGUMENT...]
"""

import ctypes
import os
import struct
import sys

LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
IO_URING_CALLS = (425, 426, 427)  # setup, enter, register: the same number on every architecture
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def main():
    instruction = lambda *fields: struct.pack("HBBI", *fields)
    calls = len(IO_URING_CALLS)
    filter_code = instruction(LOAD_WORD, 0, 0, 0)
    for place, call in enumerate(IO_URING_CALLS):
        filter_code += instruction(JUMP_IF_EQUAL, calls - place, 0, call)
    filter_code += instruction(RETURN, 0, 0, ALLOW) + instruction(RETURN, 0, 0, REFUSE)
    code = ctypes.create_string_buffer(filter_code)
    program = struct.pack("HxxxxxxP", len(filter_code) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0
    ):
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[1], sys.argv[1:])


main()
