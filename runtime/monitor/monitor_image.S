// The monitor's binary as read-only data of the daemon (PINION_MONITOR_IMAGE
// is its path, from CMake).
  .section .rodata
  .balign 16
  .globl pinion_monitor_image_begin
  .globl pinion_monitor_image_end
pinion_monitor_image_begin:
  .incbin PINION_MONITOR_IMAGE
pinion_monitor_image_end:
  .byte 0
  .section .note.GNU-stack, "", %progbits
