// The machine's C interface; called by machine_library.py, which holds Python's lock meanwhile.

#include "masks.h"

using branchline::Masks;
using branchline::Nodes;
using branchline::Vocabulary;

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void *bm_vocabulary_new(const uint8_t *data, const int64_t *starts, int64_t num_tokens,
                                 const int64_t *order, int64_t num_ordered, const uint8_t *plain,
                                 const uint8_t *text) {
    return new Vocabulary(data, starts, num_tokens, order, num_ordered, plain, text);
}

EXPORTED void bm_vocabulary_delete(void *vocabulary) { delete static_cast<Vocabulary *>(vocabulary); }

EXPORTED void *bm_masks_new(const Nodes *nodes, int32_t max_frames) {
    return new Masks(*nodes, max_frames);
}

EXPORTED void bm_masks_delete(void *masks) { delete static_cast<Masks *>(masks); }

EXPORTED int32_t bm_start(void *masks) { return static_cast<Masks *>(masks)->machine.start; }

EXPORTED int32_t bm_walk(void *masks, int32_t state, const uint8_t *data, int64_t size) {
    return static_cast<Masks *>(masks)->machine.walk(state, data, size);
}

EXPORTED int32_t bm_cost(void *masks, int32_t state) {
    return static_cast<Masks *>(masks)->machine.cost(state);
}

EXPORTED int32_t bm_accepting(void *masks, int32_t state) {
    return static_cast<Masks *>(masks)->machine.accepting(state);
}

EXPORTED int32_t bm_ends(void *masks, int32_t state) {
    return static_cast<Masks *>(masks)->machine.ends(state);
}

EXPORTED int32_t bm_forced(void *masks, int32_t state, uint8_t *text, int32_t most) {
    return static_cast<Masks *>(masks)->machine.forced(state, text, most);
}

EXPORTED int64_t bm_bytes(void *masks) { return static_cast<Masks *>(masks)->num_bytes(); }

EXPORTED int64_t bm_work(void *masks) { return static_cast<Masks *>(masks)->machine.work; }

EXPORTED int32_t bm_alike(void *masks, int32_t state, int32_t *least) {
    return static_cast<Masks *>(masks)->machine.alike(state, *least);
}

EXPORTED int32_t bm_begin_like(void *masks, const void *vocabulary, int32_t state, int32_t budget,
                               int32_t least, const uint32_t *like, int32_t most) {
    return static_cast<Masks *>(masks)->begin_like(*static_cast<const Vocabulary *>(vocabulary), state,
                                                   budget, least, like, most);
}

EXPORTED int32_t bm_fill(void *masks, const void *vocabulary, int32_t state, int32_t budget,
                         int64_t allowed, uint32_t *row, int32_t *most) {
    return static_cast<Masks *>(masks)->fill(*static_cast<const Vocabulary *>(vocabulary), state,
                                             budget, allowed, row, most);
}
