#include "record/batch.h"

#include <algorithm>
#include <cstring>

namespace lockstep::record {

namespace {
constexpr std::size_t kBlockBytes = 256u << 10;
}

std::span<Cell> Batch::add_row() {
    const std::size_t from = cells_.size();
    for (const Form form : forms_) cells_.push_back(Cell::null(form));
    return {cells_.data() + from, forms_.size()};
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

}  // namespace lockstep::record
