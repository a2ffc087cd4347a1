#include "base/csv.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/check.h"

namespace lockstep::csv {

namespace {

/// The first quote in [at, end), or end. Most cells end within a few dozen bytes, where the call of memchr would cost
/// more than the search; long ones are left to it, for it uses the widest registers there are.
inline const char* find_quote(const char* at, const char* end) {
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    for (int block = 0; block < 4 && end - at >= 16; ++block, at += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const auto found = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, quote)));
        if (found != 0) return at + std::countr_zero(found);
    }
#endif
    const void* found = std::memchr(at, '"', static_cast<std::size_t>(end - at));
    return found != nullptr ? static_cast<const char*>(found) : end;
}

/// The first delimiter, line feed or quote in [at, end), or end.
inline const char* find_special(const char* at, const char* end, char delimiter) {
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i feed = _mm_set1_epi8('\n');
    const __m128i separator = _mm_set1_epi8(delimiter);
    for (; end - at >= 16; at += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i hits = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, feed)),
                                          _mm_cmpeq_epi8(bytes, separator));
        const auto found = static_cast<unsigned>(_mm_movemask_epi8(hits));
        if (found != 0) return at + std::countr_zero(found);
    }
#endif
    while (at != end && *at != delimiter && *at != '\n' && *at != '"') ++at;
    return at;
}

}  // namespace

Reader::Reader(std::string_view text, char delimiter) : text_(text), delimiter_(delimiter) {
    check(delimiter != '"' && delimiter != '\n' && delimiter != '\r', "a delimiter differs from quote and line end");
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    if (text_.starts_with(mark)) at_ = mark.size();
}

Result<bool> Reader::next(std::vector<std::string_view>& cells) {
    cells.clear();
    doubled_.clear();
    const char* const begin = text_.data();
    const char* const end = begin + text_.size();
    const char* at = begin + at_;
    if (at == end) return false;

    const auto wrong = [&](const char* where, const char* why) {
        return Error{.kind = Kind::BadReply,
                     .what = fmt::format("CSV row {}, byte {}: {}", rows_ + 1, where - begin, why),
                     .hint = "fetch the file again, or see how it was written"};
    };
    bool line_ended = false;
    for (bool more_cells = true; more_cells;) {
        const char* cell = at;
        if (at != end && *at == '"') {
            ++cell;
            at = find_quote(cell, end);
            bool doubled = false;
            while (end - at >= 2 && at[1] == '"') {
                doubled = true;
                at = find_quote(at + 2, end);
            }
            if (at == end) return wrong(cell - 1, "the text ends inside the quotes opened here");
            if (doubled) doubled_.push_back(cells.size());
            cells.emplace_back(cell, static_cast<std::size_t>(at - cell));
            ++at;
            if (at != end && *at == delimiter_) {
                ++at;
                continue;
            }
            if (end - at >= 2 && *at == '\r' && at[1] == '\n') ++at;
            if (at != end && *at != '\n') return wrong(at, "text follows a closing quote");
        } else {
            at = find_special(at, end, delimiter_);
            if (at != end && *at == '"') return wrong(at, "a quote stands inside a cell that is not quoted");
            const char* cell_end = at;
            if (at != end && *at == '\n' && at != cell && at[-1] == '\r') --cell_end;
            cells.emplace_back(cell, static_cast<std::size_t>(cell_end - cell));
            if (at != end && *at == delimiter_) {
                ++at;
                continue;
            }
        }
        // Here the row ends, by a line feed or with the text.
        more_cells = false;
        line_ended = at != end;
        if (line_ended) ++at;
    }
    if (!doubled_.empty()) undouble(cells);
    at_ = static_cast<std::size_t>(at - begin);
    ended_with_line_end_ = line_ended;
    ++rows_;
    return true;
}

void Reader::undouble(std::vector<std::string_view>& cells) {
    // All room is taken before the first view is made, because growing would move what the views show.
    std::size_t size = 0;
    for (const std::size_t index : doubled_) size += cells[index].size();
    scratch_.clear();
    scratch_.reserve(size);
    for (const std::size_t index : doubled_) {
        const std::size_t start = scratch_.size();
        std::string_view rest = cells[index];
        for (std::size_t quote = rest.find('"'); quote != std::string_view::npos; quote = rest.find('"')) {
            scratch_.append(rest, 0, quote + 1);
            rest.remove_prefix(quote + 2);
        }
        scratch_ += rest;
        cells[index] = std::string_view(scratch_).substr(start);
    }
}

void append_quoted(std::string& out, std::string_view cell) {
    out += '"';
    for (std::size_t quote = cell.find('"'); quote != std::string_view::npos; quote = cell.find('"')) {
        out.append(cell, 0, quote + 1);
        out += '"';
        cell.remove_prefix(quote + 1);
    }
    out += cell;
    out += '"';
}

void append_row(std::string& out, const std::vector<std::string_view>& cells) {
    bool first = true;
    for (const std::string_view cell : cells) {
        if (!first) out += ',';
        append_quoted(out, cell);
        first = false;
    }
    out += '\n';
}

}  // namespace lockstep::csv
