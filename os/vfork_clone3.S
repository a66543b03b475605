// long PinionVforkClone3(struct clone_args* arguments, size_t size)
//
// clone3(2) that returns twice on one stack, as vfork(2) does; glibc has no
// such wrapper. The child runs on the caller's frame while the caller waits,
// so the return address must not lie on the stack, where the child's calls
// would overwrite it before the parent returns: it is kept in a register.
// Returns the pid, 0 in the child, or -errno.

        .text
        .globl  PinionVforkClone3
        .type   PinionVforkClone3, %function
#if defined(__x86_64__)
PinionVforkClone3:
        popq    %rdx            // The kernel keeps it; it clobbers rcx, r11.
        movl    $435, %eax
        syscall
        pushq   %rdx
        ret
#elif defined(__aarch64__)
PinionVforkClone3:
        mov     x8, #435
        svc     #0              // The return address is in x30 anyway.
        ret
#else
#error "clone3 for this architecture is missing here"
#endif
        .size   PinionVforkClone3, . - PinionVforkClone3
        .section .note.GNU-stack, "", %progbits
