#include "record/batch.h"

#include <algorithm>
#include <cstring>

namespace lockstep::record {

namespace {
constexpr std::size_t kBlockBytes = 256u << 10;
}

Batch::Batch(std::vector<Form> forms) : forms_(std::move(forms)) {
    nulls_.reserve(forms_.size());
    for (const Form form : forms_) nulls_.push_back(Cell::null(form));
}

std::span<Cell> Batch::add_row() {
    const std::size_t from = cells_.size();
    cells_.insert(cells_.end(), nulls_.begin(), nulls_.end());
    return {cells_.data() + from, nulls_.size()};
}

std::string_view Batch::keep(std::string_view text) {
    if (text.empty()) return {};
    if (block_used_ + text.size() > block_size_) {
        block_size_ = std::max(kBlockBytes, text.size());
        block_used_ = 0;
        blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_size_));
    }
    char* const place = blocks_.back().get() + block_used_;
    std::memcpy(place, text.data(), text.size());
    block_used_ += text.size();
    bytes_ += text.size();
    return {place, text.size()};
}

std::string_view Batch::adopt(std::string&& buffer) {
    bytes_ += buffer.size();
    adopted_.push_back(std::make_unique<std::string>(std::move(buffer)));
    return *adopted_.back();
}

void Batch::clear() {
    cells_.clear();
    if (blocks_.size() > 1) blocks_.resize(1);
    if (!blocks_.empty() && block_size_ != kBlockBytes) blocks_.clear();
    block_size_ = blocks_.empty() ? 0 : kBlockBytes;
    block_used_ = 0;
    bytes_ = 0;
    adopted_.clear();
}

void Batch::reserve_rows(std::size_t rows) {
    // Some more than asked for: the next page of a series is about as long, and finds room in the same memory.
    const std::size_t cells = rows * columns();
    if (cells > cells_.capacity()) cells_.reserve(cells + cells / 8);
}

std::string Batch::take_memory() {
    const auto largest = std::ranges::max_element(adopted_, {}, [](const auto& buffer) { return buffer->capacity(); });
    std::string memory = largest == adopted_.end() ? std::string() : std::move(**largest);
    clear();
    memory.clear();
    return memory;
}

}  // namespace lockstep::record
