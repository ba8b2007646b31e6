#include "guest-agent/setup/passwd.hpp"

#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

TEST(PasswdTest, FindsTheFirstEntryOfAUser) {
    const char* const passwd = "root:x:0:0:root:/root:/bin/bash\n"
                               "a:x:1000:1000::/home/a:/bin/sh\n"
                               "b:x:1000:1000::/home/b:/bin/sh";
    EXPECT_EQ(home_of(0, passwd), "/root");
    EXPECT_EQ(home_of(1000, passwd), "/home/a");
    EXPECT_EQ(home_of(1, passwd), "");
}

TEST(PasswdTest, SkipsWhatIsNoEntry) {
    EXPECT_EQ(home_of(0, ""), "");
    EXPECT_EQ(
        home_of(0, "\n\n:::::\nroot\nx:y:\nr:x:0x0:0::/a:\nr:x:+0:0::/b:\nr:x:0:0::/c"), "/c"
    );
    EXPECT_EQ(home_of(0, "r:x:0"), "");
    EXPECT_EQ(home_of(0, "r:x:4294967296:0::/overflow:\n"), "");
    EXPECT_EQ(home_of(4294967295U, "r:x:4294967295:0::/last:\n"), "/last");
}

} // namespace
} // namespace cppvm::guest
