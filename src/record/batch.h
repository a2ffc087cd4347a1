#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "record/value.h"

namespace lockstep::record {

/// Rows of cells, one form a column: what readers of the wire produce and writers of tables take.
///
/// Owns the text its cells point at: either pieces copied by `keep`, or whole buffers handed over by `adopt` (cells
/// then point into the page as it came). Clearing keeps the memory for the next page. Not thread-safe; moves are cheap.
class Batch {
public:
    Batch() = default;
    explicit Batch(std::vector<Form> forms);

    const std::vector<Form>& forms() const { return forms_; }
    std::size_t columns() const { return forms_.size(); }
    std::size_t rows() const { return forms_.empty() ? 0 : cells_.size() / forms_.size(); }
    std::span<const Cell> row(std::size_t index) const { return {cells_.data() + index * columns(), columns()}; }

    /// A new row of nulls; the span is valid until the next add_row.
    std::span<Cell> add_row();
    void drop_last_row() { cells_.resize(cells_.size() - columns()); }
    /// A copy of `text` that lives as long as the batch's contents.
    std::string_view keep(std::string_view text);
    /// Takes over a buffer; the view stays valid as long as the batch's contents.
    std::string_view adopt(std::string&& buffer);
    /// Bytes of text held.
    std::size_t bytes() const { return bytes_; }
    /// No rows, no text; the columns stay.
    void clear();
    /// Clears, and hands back the memory of the largest buffer that was adopted, empty.
    std::string take_memory();
    void reserve_rows(std::size_t rows);

private:
    std::vector<Form> forms_;
    std::vector<Cell> nulls_;  ///< an empty row
    std::vector<Cell> cells_;
    std::vector<std::unique_ptr<char[]>> blocks_;
    std::size_t block_used_ = 0, block_size_ = 0, bytes_ = 0;
    std::vector<std::unique_ptr<std::string>> adopted_;
};

}  // namespace lockstep::record
