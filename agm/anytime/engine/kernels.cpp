// Zero-padded 3x3 convolutions by Winograd's minimal filtering, and what a layer does right after.
//
// A chunk of tiles goes through all of it at once, so that what lies in between stays in a core's own cache. Images are
// (N, H, W, C) and contiguous. agm/anytime/engine/native.py compiles this file and keeps `Job` in step with it.

#include <algorithm>
#include <cstdint>
#include <new>
#include <vector>
#ifdef __SSE2__
#include <xmmintrin.h>
#endif

#ifdef __AVX512F__
constexpr int LANES = 16, MOST_ROWS = 14;  // of a vector; of a product that fits the registers
#else
constexpr int LANES = 8, MOST_ROWS = 6;
#endif
constexpr int PANEL = 2 * LANES;  // columns of a product
constexpr int CHUNK = 1 << 18;    // floats at a time: half of a usual second-level cache
constexpr int BLOCK = 256;        // about how many columns are finished at a time

typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Integers __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline Vector& at(float* p) { return *reinterpret_cast<Vector*>(p); }
static inline const Vector& at(const float* p) { return *reinterpret_cast<const Vector*>(p); }

// Winograd's matrices of one dimension, at the points 0, 1, -1, 1/2, -2 and infinity.
constexpr float INTO[6][6] = {{1, -1.5f, -2, 1.5f, 1, 0},   {0, -1, 0.5f, 2.5f, 1, 0},   {0, 1, -2.5f, 0.5f, 1, 0},
                              {0, -2, -1, 2, 1, 0},         {0, 0.5f, -1, -0.5f, 1, 0},  {0, 1, -1.5f, -2, 1.5f, 1}};
constexpr float OUT[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 0.5f, -2, 0}, {0, 1, 1, 0.25f, 4, 0}, {0, 1, -1, 0.125f, -8, 1}};

// Numbers too small for a float's full precision count as zero while this lives: they take a hundred times as long.
struct NoDenormals {
#ifdef __SSE2__
  const unsigned before = _mm_getcsr();
  NoDenormals() { _mm_setcsr(before | 0x8040); }
  ~NoDenormals() { _mm_setcsr(before); }
#endif
};

enum Kind : int32_t { RAW, NORM, GATES };

struct Part {
  const float* data;  // nullptr: there is none
  int32_t channels;
  int32_t up;  // 1: it is half as high and wide, and is upsampled (nearest)
};

struct Job {
  Part parts[2];
  int32_t images, height, width;  // of what comes out
  int32_t kind;
  int32_t skipped, inputs;            // of the inputs that the weights are for, which come before the parts; all
  int32_t first, gates, all;          // of how many gates which ones are computed; 1 without gates
  int32_t channels;                   // of one gate
  const float* weights;               // (36, all gates, panels, inputs, PANEL)
  const float *bias, *share;          // to add: (gates * channels,); (N, H, W, gates * channels)
  const float *scale, *shift;         // NORM: (channels,), nullptr for 1 and 0
  int32_t shift_step;                 // NORM: channels where the shift is an image, or else 0
  float leak;                         // NORM: slope below zero
  const float* old_cell;              // GATES: (N, H, W, channels)
  float* cell;                        // GATES: may be old_cell
  float* out;                         // (N, H, W, channels), RAW: (N, H, W, gates * channels)
};

// y = matrix x, each of them `step` apart.
template <int O>
static inline __attribute__((always_inline)) void transform(const float (&matrix)[O][6], const Vector* x, int step_x, Vector* y, int step_y) {
#pragma GCC unroll 6
  for (int o = 0; o < O; ++o) {
    Vector sum = {};
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i)
      if (matrix[o][i] != 0) sum += matrix[o][i] * x[i * step_x];
    y[o * step_y] = sum;
  }
}

// One patch of 6x6 pixels, all channels of a part -> 36 numbers a channel, `stride` apart.
static void see(const Part& part, const Job& job, int image, int top, int left, float* seen, int64_t stride) {
  const float* pixels[36];
  const int height = job.height >> part.up, width = job.width >> part.up;
  for (int i = 0; i < 36; ++i) {
    const int row = top + i / 6, column = left + i % 6;
    const bool inside = row >= 0 && column >= 0 && row < job.height && column < job.width;
    const int64_t pixel = (static_cast<int64_t>(image) * height + (row >> part.up)) * width + (column >> part.up);
    pixels[i] = inside ? part.data + pixel * part.channels : nullptr;
  }
  for (int start = 0; start < part.channels; start += LANES) {
    const int c = std::min(start, part.channels - LANES);  // the last vector may see some channels again
    Vector patch[36], half[36], whole[6];
    for (int i = 0; i < 36; ++i) patch[i] = pixels[i] ? at(pixels[i] + c) : Vector{};
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) transform(INTO, patch + i, 6, half + i, 6);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) {
      transform(INTO, half + 6 * i, 1, whole, 1);
      for (int j = 0; j < 6; ++j) at(seen + c + (6 * i + j) * stride) = whole[j];
    }
  }
}

// 36 numbers, `stride` apart -> 4x4 pixels.
static inline __attribute__((always_inline)) void leave(const float* products, int64_t stride, Vector* pixels) {
  Vector column[6], half[24];
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    for (int i = 0; i < 6; ++i) column[i] = at(products + (6 * i + j) * stride);
    transform(OUT, column, 1, half + j, 6);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) transform(OUT, half + 6 * i, 1, pixels + 4 * i, 1);
}

// (ROWS, depth) times the first VECTORS vectors of a panel (depth, PANEL), in registers.
template <int ROWS, int VECTORS>
static void multiply(const float* a, int64_t stride_a, const float* panel, int depth, int ahead, float* c, int64_t stride_c) {
  Vector sum[ROWS][VECTORS] = {};
  for (int k = 0; k < depth; ++k, panel += PANEL) {
    // The next panel comes from far away: its way must begin now.
#pragma GCC unroll 2
    for (int v = 0; v < VECTORS; ++v) __builtin_prefetch(panel + ahead + v * LANES, 0, 2);
#pragma GCC unroll 16
    for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 2
      for (int v = 0; v < VECTORS; ++v) sum[row][v] += a[row * stride_a + k] * at(panel + v * LANES);
  }
#pragma GCC unroll 16
  for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 2
    for (int v = 0; v < VECTORS; ++v) at(c + row * stride_c + v * LANES) = sum[row][v];
}

template <int VECTORS, int ROWS = MOST_ROWS>
static void multiply(int rows, const float* a, int64_t stride_a, const float* panel, int depth, int ahead, float* c, int64_t stride_c) {
  if (rows == ROWS)
    multiply<ROWS, VECTORS>(a, stride_a, panel, depth, ahead, c, stride_c);
  else if constexpr (ROWS > 1)
    multiply<VECTORS, ROWS - 1>(rows, a, stride_a, panel, depth, ahead, c, stride_c);
}

// e to the x, within 2e-7 of it; 40 is as good as infinity for what is made of it, and its square is still a number.
static inline __attribute__((always_inline)) Vector exponential(Vector x) {
  x = x < -40.f ? Vector{} - 40.f : x;
  x = x > 40.f ? Vector{} + 40.f : x;
  const Vector shifted = x * 1.44269504f + 12582912.f;  // 1.5 * 2^23: its last bits are the nearest whole number
  const Vector whole = shifted - 12582912.f;
  const Vector r = x - whole * 0.693359375f + whole * 2.12194440e-4f;  // log 2 in two parts
  Vector p = Vector{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  return p * reinterpret_cast<Vector>((reinterpret_cast<Integers>(shifted) + 127) << 23);
}

// The gate and state equations of Section II-C for some channels of a pixel. `gates`: f, i, g, o; f only with a cell.
static inline __attribute__((always_inline)) void update(const Job& job, Vector* gates, int64_t place) {
  Vector* rest = gates + (job.gates - 3);
  const Vector old = job.old_cell ? at(job.old_cell + place) : Vector{};
  const Vector i = exponential(-rest[0]), g = exponential(-2.f * rest[1]);
  Vector cell = (1.f - g) / ((1.f + i) * (1.f + g));  // sigmoid(i) tanh(g)
  if (job.old_cell) cell += old / (1.f + exponential(-gates[0]));
  const Vector o = exponential(-rest[2]), c = exponential(-2.f * cell);
  at(job.cell + place) = cell;
  at(job.out + place) = (1.f - c) / ((1.f + o) * (1.f + c));
}

// Some channels of a tile: what the convolution gives, and what the layer makes of it.
static void finish(const Job& job, const float* products, int64_t stride, int64_t block, int image, int top, int left, int channel) {
  const int64_t columns = static_cast<int64_t>(job.gates) * job.channels;
  Vector made[4][16];
  for (int gate = 0; gate < job.gates; ++gate) leave(products + gate * block, stride, made[gate]);
  for (int i = 0; i < 16; ++i) {
    const int row = top + i / 4, column = left + i % 4;
    if (row >= job.height || column >= job.width) continue;
    const int64_t pixel = (static_cast<int64_t>(image) * job.height + row) * job.width + column;
    Vector y[4];
    for (int gate = 0; gate < job.gates; ++gate) {
      const int64_t which = gate * job.channels + channel;
      y[gate] = made[gate][i];
      if (job.share) y[gate] += at(job.share + pixel * columns + which);
      if (job.bias) y[gate] += at(job.bias + which);
      if (job.kind == RAW) at(job.out + pixel * columns + which) = y[gate];
    }
    const int64_t place = pixel * job.channels + channel;
    if (job.kind == NORM) {
      const Vector x = y[0] < 0.f ? y[0] * job.leak : y[0];
      const Vector scaled = job.scale ? x * at(job.scale + channel) : x;
      at(job.out + place) = job.shift ? scaled + at(job.shift + pixel * job.shift_step + channel) : scaled;
    } else if (job.kind == GATES) {
      update(job, y, place);
    }
  }
}

extern "C" int lanes() { return LANES; }

// 0 if done, 1 if there is not enough memory.
extern "C" int convolve(const Job* which, int threads) {
  const Job& job = *which;
  const int rows = (job.height + 3) / 4, columns = (job.width + 3) / 4, tiles = job.images * rows * columns;
  int depth = 0;
  for (const Part& part : job.parts) depth += part.data ? part.channels : 0;
  const int padded = (job.channels + PANEL - 1) / PANEL * PANEL;
  const int block = std::min(padded, std::max(PANEL, BLOCK / job.gates / PANEL * PANEL));
  const int width = block * job.gates;
  const int room = std::max(MOST_ROWS, CHUNK / (36 * std::max(depth, width)));
  // As many for every thread, and about as large as there is room for.
  const int rounds = std::max(1, (2 * tiles + threads * room) / (2 * threads * room));
  const int chunk = (tiles + rounds * threads - 1) / (rounds * threads);
  const int chunks = (tiles + chunk - 1) / chunk;
  const int products = (chunk + MOST_ROWS - 1) / MOST_ROWS, some = (chunk + products - 1) / products;
  // One vector more, lest the 36 lie at places that share the same lines of the cache.
  const int64_t seen_stride = static_cast<int64_t>(chunk) * depth + LANES, made_stride = static_cast<int64_t>(chunk) * width + LANES;
  int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(| : failed)
  for (int n = 0; n < chunks; ++n) {
    [[maybe_unused]] const NoDenormals meanwhile;
    const int first = n * chunk, count = std::min(tiles, first + chunk) - first;
    // Kept for the next time: fresh memory costs as much time as the sums themselves.
    static thread_local std::vector<float> buffer;
    try {
      if (buffer.size() < static_cast<size_t>(36 * (seen_stride + made_stride))) buffer.resize(36 * (seen_stride + made_stride));
    } catch (const std::bad_alloc&) {
      failed = 1;
      continue;
    }
    float *seen = buffer.data(), *made = seen + 36 * seen_stride;
    const auto image = [&](int tile) { return (first + tile) / (rows * columns); };
    const auto top = [&](int tile) { return (first + tile) / columns % rows * 4; };
    const auto left = [&](int tile) { return (first + tile) % columns * 4; };
    for (int tile = 0; tile < count; ++tile) {
      float* there = seen + static_cast<int64_t>(tile) * depth;
      for (const Part& part : job.parts) {
        if (!part.data) continue;
        see(part, job, image(tile), top(tile) - 1, left(tile) - 1, there, seen_stride);
        there += part.channels;
      }
    }
    for (int from = 0; from < job.channels; from += block) {
      const int wide = std::min(block, padded - from);
      for (int p = 0; p < 36; ++p)
        for (int gate = 0; gate < job.gates; ++gate)
          for (int c = 0; c < wide; c += PANEL) {
            const int64_t column = (static_cast<int64_t>(p) * job.all + job.first + gate) * padded + from + c;
            const float* panel = job.weights + column * job.inputs + job.skipped * PANEL;
            const auto times = job.channels - from - c > LANES ? multiply<2> : multiply<1>;
            for (int row = 0; row < count; row += some)
              times(std::min(some, count - row), seen + p * seen_stride + static_cast<int64_t>(row) * depth, depth, panel, depth,
                       job.inputs * PANEL, made + p * made_stride + static_cast<int64_t>(row) * width + gate * block + c, width);
          }
      for (int tile = 0; tile < count; ++tile)
        for (int start = 0; start < std::min(block, job.channels - from); start += LANES) {
          const int c = std::min(start, job.channels - LANES - from);
          finish(job, made + static_cast<int64_t>(tile) * width + c, made_stride, block, image(tile), top(tile), left(tile), from + c);
        }
    }
  }
  return failed;
}
