#include "sandbox/certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/check.h"
#include "base/crypto.h"

namespace lockstep::sandbox {
namespace {

template <auto free>
struct Free {
    template <class T>
    void operator()(T* thing) const {
        free(thing);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using X509Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;

void demand(bool worked) {
    if (!worked) throw Failure("No certificate could be made for https.", "start without --tls");
}

std::string text_of(BIO* bio) {
    char* start = nullptr;
    const long size = BIO_get_mem_data(bio, &start);
    return {start, static_cast<std::size_t>(size)};
}

void extend(X509* certificate, int what, const std::string& value) {
    const Extension extension(X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str()));
    demand(extension && X509_add_ext(certificate, extension.get(), -1) == 1);
}

bool is_address(const std::string& host) {
    return host.find_first_not_of("0123456789.") == std::string::npos || host.find(':') != std::string::npos;
}

}  // namespace

Certificate make_certificate(const std::string& host, Timestamp now) {
    constexpr int day_s = 86'400;
    const Key key(EVP_RSA_gen(2048));
    const X509Certificate certificate(X509_new());
    demand(key && certificate);
    X509* x509 = certificate.get();
    const std::string random = random_bytes(8);
    std::int64_t serial = 0;
    for (const char c : random) serial = (serial << 7) | (static_cast<unsigned char>(c) & 0x7f);
    demand(X509_set_version(x509, 2) == 1);
    demand(ASN1_INTEGER_set_int64(X509_get_serialNumber(x509), serial) == 1);
    demand(ASN1_TIME_set(X509_getm_notBefore(x509), now.seconds - day_s) != nullptr);
    demand(ASN1_TIME_set(X509_getm_notAfter(x509), now.seconds + 365LL * day_s) != nullptr);
    demand(X509_set_pubkey(x509, key.get()) == 1);
    X509_NAME* name = X509_get_subject_name(x509);
    const auto* common = reinterpret_cast<const unsigned char*>("lockstep-sandbox");
    demand(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0) == 1);
    demand(X509_set_issuer_name(x509, name) == 1);
    extend(x509, NID_basic_constraints, "critical,CA:TRUE");
    std::string names = "DNS:localhost,IP:127.0.0.1";
    if (host != "127.0.0.1" && host != "localhost") names += (is_address(host) ? ",IP:" : ",DNS:") + host;
    extend(x509, NID_subject_alt_name, names);
    demand(X509_sign(x509, key.get(), EVP_sha256()) > 0);

    const Bio certificate_text(BIO_new(BIO_s_mem())), key_text(BIO_new(BIO_s_mem()));
    demand(PEM_write_bio_X509(certificate_text.get(), x509) == 1);
    demand(PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return {text_of(certificate_text.get()), text_of(key_text.get())};
}

}  // namespace lockstep::sandbox
