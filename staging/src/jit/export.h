/* @name@: compiled by Antiphon. Arrays are row-major and hold as many elements as their shape says.
@arrays@   One file of a program defines @NAME@_IMPLEMENTATION before it includes this. */
#ifndef @NAME@_H
#define @NAME@_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define @NAME@_INPUTS @inputs@
#define @NAME@_OUTPUTS @outputs@
/* Elements of each. */
static const int64_t @name@_input_sizes[] = {@input_sizes@};
static const int64_t @name@_output_sizes[] = {@output_sizes@};
/* Bytes of memory that a run takes, beside those of recursive functions. */
#define @NAME@_MEMORY @memory@
/* Bytes of stack that recursive functions may take. */
#ifndef @NAME@_STACK
#define @NAME@_STACK (512 * 1024)
#endif

enum {
    @NAME@_OK = 0,
    @NAME@_INDEX = @index@, /* an index is out of range */
    @NAME@_STACK_EXHAUSTED = @stack@, /* recursion went too deep */
    @NAME@_MEMORY_EXHAUSTED = @arena@, /* more memory is needed */
    @NAME@_ENSURE = @probe@ /* the model ensures something that does not hold */
};

/* Runs it in `memory`, of so many bytes, which no other run uses meanwhile. Outputs overlap nothing. If the result is
   not @NAME@_OK, nothing was written, and `reason`, unless it is null, says why. */
int @name@_run(const void *const inputs[@some_inputs@], void *const outputs[@some_outputs@],
               void *memory, size_t bytes, const char **reason);

#ifdef @NAME@_IMPLEMENTATION
#include <math.h>
#include <setjmp.h>
#undef WEAK
#define WEAK __attribute__((weak))
@library@
typedef struct @name@_context {
    uint8_t *arena, *top, *limit, *stack;
    const void *const *inputs;
    void *const *outputs;
    void (*fail)(struct @name@_context *, int64_t, int64_t, int64_t, int64_t);
    void (*probe)(struct @name@_context *, int64_t, const uint8_t *);
    void (*host)(struct @name@_context *, int64_t, void *const *);
    int64_t failure[4];
    jmp_buf *back;
    const char *reason;
} @name@_context;

void @name@_entry(@name@_context *);

static void @name@_fail(@name@_context *c, int64_t why, int64_t op, int64_t index, int64_t length) {
    const char *reasons[] = {"", "an index is out of range", "recursion went too deep", "more memory is needed"};
    (void)op, (void)index, (void)length;
    c->failure[0] = why;
    if (why > 0 && why < 4) c->reason = reasons[why];
    longjmp(*c->back, 1);
}

static void @name@_probe(@name@_context *c, int64_t number, const uint8_t *value) {
    int64_t elements = 0;
    switch (number) {
@ensures@    }
    for (int64_t i = 0; i < elements; i++)
        if (!value[i]) @name@_fail(c, @NAME@_ENSURE, 0, 0, 0);
}

int @name@_run(const void *const inputs[@some_inputs@], void *const outputs[@some_outputs@],
               void *memory, size_t bytes, const char **reason) {
    jmp_buf back;
    @name@_context c = {0};
    uint8_t *start = (uint8_t *)(((uintptr_t)memory + 63) / 64 * 64);
    if (reason) *reason = "";
    if (bytes < @NAME@_MEMORY) {
        if (reason) *reason = "more memory is needed";
        return @NAME@_MEMORY_EXHAUSTED;
    }
    c.arena = start;
    c.top = start + @fixed@;
    c.limit = (uint8_t *)memory + bytes;
    c.stack = (uint8_t *)&c - @NAME@_STACK;
    c.inputs = inputs;
    c.outputs = outputs;
    c.fail = @name@_fail;
    c.probe = @name@_probe;
    c.back = &back;
    c.reason = "";
    if (setjmp(back)) {
        if (reason) *reason = c.reason;
        return (int)c.failure[0];
    }
    @name@_entry(&c);
    return @NAME@_OK;
}
#undef WEAK
#endif

#ifdef __cplusplus
}
#endif
#endif
