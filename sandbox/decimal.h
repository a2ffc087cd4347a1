#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep::sandbox {

/// A decimal number of up to 38 digits, as formulas reckon with: exact where a double is not (0.1 + 0.2 is 0.3).
///
/// Results of more digits are rounded half up. Below 1e-64 they are 0; from 1e64 on they are too big, and so is
/// whatever is reckoned with them. Cost: some 10 ns an operation while 18 digits are enough, some 200 ns beyond.
class Decimal {
public:
    /// HalfUp and HalfDown go by the magnitude; Up is away from zero, Down towards it.
    enum class Rounding { HalfUp, HalfDown, Up, Down, Ceiling, Floor };

    Decimal() = default;
    template <std::integral Whole>
    Decimal(Whole whole) : digits_(whole) {}
    /// The shortest decimal that reads as this double: 0.1 is 0.1. Too big for what is no number.
    static Decimal of(double value);
    /// "-12.50", "+3", "1e3": what Java's BigDecimal reads. Nothing for anything else, blanks included.
    static std::optional<Decimal> parse(std::string_view text);
    static Decimal too_big();

    bool is_too_big() const { return exponent_ == kTooBig; }
    int sign() const { return digits_ < 0 ? -1 : digits_ > 0 ? 1 : 0; }
    double to_double() const;
    /// Without an exponent and without zeros at the end: "1000000", "0.5".
    std::string to_string() const;
    /// Cut towards zero; numbers beyond 9.2e18 are cut to that.
    std::int64_t to_whole() const;

    /// To `places` after the point; negative places are before it.
    Decimal rounded(int places, Rounding how) const;
    /// To `digits` in all.
    Decimal with_digits(int digits, Rounding how) const;

    Decimal operator-() const;
    friend Decimal operator+(const Decimal& a, const Decimal& b);
    friend Decimal operator-(const Decimal& a, const Decimal& b) { return a + -b; }
    friend Decimal operator*(const Decimal& a, const Decimal& b);
    /// Precondition of these two: b is not 0. The remainder has the sign of `a`.
    friend Decimal operator/(const Decimal& a, const Decimal& b);
    friend Decimal remainder(const Decimal& a, const Decimal& b);
    /// -1, 0, 1. Precondition: neither is too big.
    friend int compare(const Decimal& a, const Decimal& b);
    friend bool operator==(const Decimal& a, const Decimal& b) { return compare(a, b) == 0; }
    friend bool operator<(const Decimal& a, const Decimal& b) { return compare(a, b) < 0; }

    // To 33 digits. Nothing where the function is not defined.
    std::optional<Decimal> square_root() const;
    std::optional<Decimal> natural_log() const;
    std::optional<Decimal> common_log() const;
    Decimal exponential() const;
    /// 0 to the power of 0 is 1.
    std::optional<Decimal> to_power(const Decimal& exponent) const;

private:
    static constexpr int kTooBig = 1 << 20;
    using Digits = __int128;
    static Decimal made(Digits digits, int exponent);
    Decimal stripped() const;

    Digits digits_ = 0;  ///< below 1e38 in magnitude
    int exponent_ = 0;   ///< the value is digits * 10^exponent

    friend struct DecimalParts;
};
/// A friend by name of the class is found only through its arguments; these two are called with literals as well.
Decimal remainder(const Decimal& a, const Decimal& b);
int compare(const Decimal& a, const Decimal& b);

}  // namespace lockstep::sandbox
