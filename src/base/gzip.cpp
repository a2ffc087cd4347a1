#include "base/gzip.h"

#include <libdeflate.h>

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "base/text.h"

namespace lockstep {

namespace {

constexpr std::size_t kMemberBytesMin = 20;  // header 10, empty deflate stream 2, trailer 8
constexpr std::size_t kRatioMax = 1032;      // what deflate can reach at most (zlib technical details)

Error bad_body(std::string what) {
    return {.kind = Kind::BadReply, .what = std::move(what), .hint = "fetch it again"};
}

/// The size the trailer at the end of `bytes` claims, modulo 2^32: a hint, for it may be damaged.
std::size_t size_claimed(std::string_view bytes) {
    std::uint32_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        size |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[bytes.size() - 4 + i])) << (8 * i);
    }
    return size;
}

}  // namespace

std::string gzip(std::string_view bytes, int level) {
    const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
        libdeflate_alloc_compressor(level), &libdeflate_free_compressor);
    check(compressor != nullptr, "gzip levels are 0 to 12");
    std::string out(libdeflate_gzip_compress_bound(compressor.get(), bytes.size()), '\0');
    out.resize(libdeflate_gzip_compress(compressor.get(), bytes.data(), bytes.size(), out.data(), out.size()));
    check(!out.empty(), "the bound was too small");
    return out;
}

Result<std::string> gunzip(std::string_view bytes, std::size_t bytes_max) {
    const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> decompressor(
        libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
    check(decompressor != nullptr, "no memory for a decompressor");
    if (bytes.size() < kMemberBytesMin) return bad_body("a gzip body is cut short");

    std::string out;
    std::size_t filled = 0;
    out.resize(std::min({size_claimed(bytes), bytes_max, bytes.size() * kRatioMax}));
    do {
        std::size_t taken = 0;
        std::size_t made = 0;
        const libdeflate_result result = libdeflate_gzip_decompress_ex(
            decompressor.get(), bytes.data(), bytes.size(), out.data() + filled, out.size() - filled, &taken, &made);
        if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
            if (out.size() >= bytes_max) {
                Error error = bad_body("a gzip body is larger than " + to_bytes(bytes_max));
                error.code = "BODY_TOO_LARGE";
                return error;
            }
            out.resize(out.size() < bytes_max / 2 ? std::max(out.size() * 2, std::min<std::size_t>(4096, bytes_max))
                                                  : bytes_max);
            continue;  // the member is inflated again from its start
        }
        if (result != LIBDEFLATE_SUCCESS) {
            return bad_body(filled == 0 ? "a gzip body is cut or damaged" : "a gzip body has garbage after its end");
        }
        filled += made;
        bytes.remove_prefix(taken);
    } while (!bytes.empty());
    out.resize(filled);
    return out;
}

}  // namespace lockstep
