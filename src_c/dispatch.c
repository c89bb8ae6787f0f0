/* The list of implementations, and which one is used: the best one, the one that FASTXAVIER_ISA names,
   or the one that fx_force_isa set. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "kernels.h"

extern const isa fx__isa_scalar, fx__isa_sse2, fx__isa_avx2, fx__isa_avx512, fx__isa_neon;

/* Best first. */
static const isa *const ALL[] = {
#if FX_X86_64
    &fx__isa_avx512, &fx__isa_avx2, &fx__isa_sse2,
#endif
#if FX_AARCH64
    &fx__isa_neon,
#endif
    &fx__isa_scalar,
};
enum { COUNT = sizeof ALL / sizeof *ALL };

static _Atomic(const isa *) chosen; /* NULL until it is needed */
static const isa none; /* chosen when the environment names one that does not run here */

static const isa *find(const char *name)
{
    for (int i = 0; i < COUNT; i++)
        /* Untaken by tests, perhaps: needs a CPU without AVX2 or AVX-512. */
        if ((!name || strcmp(ALL[i]->name, name) == 0) && ALL[i]->runs_here())
            return ALL[i];
    return NULL;
}

const isa *fx__isa_chosen(void)
{
    const isa *use = atomic_load(&chosen);
    if (!use) {
        const char *name = getenv("FASTXAVIER_ISA");
        const isa *found = find(name && *name ? name : NULL);
        if (!found)
            found = &none;
        /* Untaken by tests: another thread would have to choose after the load above. */
        if (atomic_compare_exchange_strong(&chosen, &use, found))
            use = found;
    }
    return use == &none ? NULL : use;
}

const char *fx_isa_available(int i)
{
    for (int k = 0; k < COUNT; k++)
        /* Untaken by tests, perhaps: needs a CPU without AVX2 or AVX-512. */
        if (ALL[k]->runs_here() && i-- == 0)
            return ALL[k]->name;
    return NULL;
}

const char *fx_isa(void)
{
    const isa *use = fx__isa_chosen();
    return use ? use->name : NULL;
}

fx_status fx_force_isa(const char *name)
{
    const isa *use = name ? find(name) : NULL;
    if (name && !use)
        return FX_ERROR_ISA;
    atomic_store(&chosen, use);
    return FX_OK;
}
