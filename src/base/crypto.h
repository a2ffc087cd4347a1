#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

/// 256-bit key that seals secrets at rest (libsodium XChaCha20-Poly1305). Zeroed on destruction, never printed.
class MasterKey {
public:
    /// Reads `file`, or makes it (mode 0400, random) when it does not exist. Errors: Denied when others may read it or
    /// it is not exactly one key (hex, 64 digits). Throws Failure when the folder or the disk does not let us.
    static Result<MasterKey> open_or_create(const std::filesystem::path& file);
    MasterKey(const MasterKey&) = delete;
    MasterKey(MasterKey&&) noexcept;
    ~MasterKey();

    /// Sealed bytes: random nonce, then ciphertext. `place` names where the value is stored ("secret/token/1"): opening
    /// it under another place fails, so that rows can not be swapped.
    std::string seal(std::string_view secret, std::string_view place) const;
    /// Errors: Denied when the bytes were changed, moved, or sealed by another key.
    Result<std::string> open(std::string_view sealed, std::string_view place) const;

private:
    MasterKey() = default;
    std::array<unsigned char, 32> key_{};
};

std::string sha256(std::string_view bytes);  ///< 32 raw bytes
std::string hmac_sha256(std::string_view key, std::string_view message);
std::string random_bytes(std::size_t count);

/// RS256 for JWT: signs with a PEM private key. Errors: Invalid when the key can not be read.
Result<std::string> sign_rs256(std::string_view pem_private_key, std::string_view message);
bool verify_rs256(std::string_view pem_public_key, std::string_view message, std::string_view signature);
/// A fresh 2048-bit key pair in PEM.
struct RsaKeyPair {
    std::string private_pem;
    std::string public_pem;
};
RsaKeyPair make_rsa_key_pair();

}  // namespace lockstep
