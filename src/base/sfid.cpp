#include "base/sfid.h"

#include <cstddef>

namespace lockstep {

namespace {

constexpr std::string_view kSuffixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_letter(char c) {
    return is_upper(c) || (c >= 'a' && c <= 'z');
}
bool is_id_character(char c) {
    return is_letter(c) || (c >= '0' && c <= '9');
}
char to_upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
char to_lower_character(char c) {
    return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::string id_suffix(std::string_view id15) {
    std::string suffix;
    for (std::size_t block = 0; block < 3; ++block) {
        unsigned bits = 0;
        for (std::size_t i = 0; i < 5; ++i) {
            if (is_upper(id15[block * 5 + i])) bits |= 1u << i;
        }
        suffix += kSuffixAlphabet[bits];
    }
    return suffix;
}

std::optional<std::string> normalize_id(std::string_view id) {
    if (id.size() != 15 && id.size() != 18) return std::nullopt;
    for (const char c : id) {
        if (!is_id_character(c)) return std::nullopt;
    }
    std::string id15(id.substr(0, 15));
    if (id.size() == 15) return id15 + id_suffix(id15);
    for (std::size_t block = 0; block < 3; ++block) {
        const std::size_t bits = kSuffixAlphabet.find(to_upper(id[15 + block]));
        if (bits == std::string_view::npos) return std::nullopt;
        for (std::size_t i = 0; i < 5; ++i) {
            char& c = id15[block * 5 + i];
            const bool upper = (bits >> i & 1u) != 0;
            if (upper && !is_letter(c)) return std::nullopt;
            c = upper ? to_upper(c) : to_lower_character(c);
        }
    }
    return id15 + id_suffix(id15);
}

}  // namespace lockstep
